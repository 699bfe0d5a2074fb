# SPDX-License-Identifier: Apache-2.0
"""Dataclasses whose fields are node parameters, each with its description and range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, field, fields
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from bev_perception.errors import ConfigurationError
from bev_perception.ros.unknown_parameters import warn_of_unknown_parameters

MAX_INTEGER = 2**31 - 1

Settings = TypeVar("Settings")


def parameter(
    default: Any,
    description: str,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    live: bool = False,
) -> Any:
    """A dataclass field that knows what its parameter's descriptor says.

    Args:
        default: also says the type; a tuple becomes an array.
        description: for `ros2 param describe`.
        low, high: range of a number, both ends allowed.
        choices: the only values of a text.
        live: whether it can be changed while the node runs.
    """
    about = {"description": description, "low": low, "high": high, "choices": tuple(choices)}
    return field(default=default, metadata={**about, "live": live})


def declare_settings(node: Node, kind: type[Settings], title: str) -> Settings:
    """Declares every field of a dataclass as a parameter of the node and reads them.

    Parameters given to the node that are none of these are warned of.

    Args:
        node: gets the parameters.
        kind: a dataclass whose fields were all made by parameter().
        title: of the node in errors, such as "town".

    Raises:
        ConfigurationError: a value of another type or outside its range; names the parameter.
    """
    entries: tuple[Field[Any], ...] = fields(kind)  # type: ignore[arg-type]
    settings = kind(**{entry.name: _declare(node, entry, title) for entry in entries})
    warn_of_unknown_parameters(node)
    return settings


def _declare(node: Node, entry: Field[Any], title: str) -> Any:
    descriptor = _descriptor(entry.metadata, entry.default)
    try:
        value = node.declare_parameter(entry.name, entry.default, descriptor).value
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise ConfigurationError(f"parameter {entry.name} of the {title} node: {error}") from error
    choices = entry.metadata["choices"]
    if choices and value not in choices:
        raise ConfigurationError(
            f"parameter {entry.name} of the {title} node: {value!r} is none of "
            f"{', '.join(map(repr, choices))}"
        )
    return tuple(value) if isinstance(entry.default, tuple) else value


def _descriptor(about: Any, default: Any) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=about["description"], read_only=not about["live"])
    if about["low"] is not None and isinstance(default, float):
        span = FloatingPointRange(from_value=float(about["low"]), to_value=float(about["high"]))
        descriptor.floating_point_range = [span]
    elif about["low"] is not None:
        descriptor.integer_range = [IntegerRange(from_value=about["low"], to_value=about["high"])]
    if about["choices"]:
        descriptor.additional_constraints = "one of " + ", ".join(map(repr, about["choices"]))
    return descriptor
