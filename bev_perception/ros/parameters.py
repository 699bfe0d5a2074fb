# SPDX-License-Identifier: Apache-2.0
"""The perception node's parameters, declared, checked and read into plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from bev_perception.errors import ConfigurationError
from bev_perception.perception import PipelineSettings
from bev_perception.ros.parameter_table import LIVE, MAX_CAMERAS, PARAMETERS

_MILLISECONDS = 1_000_000


@dataclass(frozen=True)
class NodeParameters:
    """Values of PARAMETERS, by the same names and units; the pipeline's are in settings.

    rectified is None where the topics' names say it.
    """

    cameras: tuple[str, ...]
    image_transport: str
    rectified: bool | None
    rig_file: str
    base_frame: str
    world_frame: str
    weights: str
    device: str
    precision: str
    backend: str
    cpu_fallback: bool
    camera_batch: int
    torch_mode: str
    resize: str
    num_threads: int
    sync_tolerance_ms: int
    sync_timeout_ms: int
    min_cameras: int
    tf_timeout_ms: int
    points_tolerance_ms: int
    points_timeout_ms: int
    labelled_points: bool
    imu: bool
    latency_budget_ms: int
    watchdog_s: float
    image_reliability: str
    image_depth: int
    max_image_rate_hz: float
    max_image_mb: float
    max_tf_rate_hz: float
    max_tf_frames: int
    min_recalibration_s: float
    grid_durability: str
    diagnostics_period_s: float
    autostart: bool
    settings: PipelineSettings

    @property
    def sync_tolerance_ns(self) -> int:
        """Nanoseconds."""
        return self.sync_tolerance_ms * _MILLISECONDS

    @property
    def sync_timeout_ns(self) -> int:
        """Nanoseconds."""
        return self.sync_timeout_ms * _MILLISECONDS

    @property
    def points_tolerance_ns(self) -> int:
        """Nanoseconds."""
        return self.points_tolerance_ms * _MILLISECONDS

    @property
    def tf_timeout_ns(self) -> int:
        """Nanoseconds."""
        return self.tf_timeout_ms * _MILLISECONDS


def declare_parameters(node: Node) -> None:
    """Declares PARAMETERS.

    Raises:
        ConfigurationError: a value given at start has the wrong type or is out of range.
    """
    for name, entry in PARAMETERS.items():
        try:
            node.declare_parameter(name, entry.default, entry.descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ConfigurationError(
                f"parameter {name} must be {entry.expected}: {error}"
            ) from error


def read_parameters(node: Node) -> NodeParameters:
    """All values, checked.

    Raises:
        ConfigurationError: a value makes no sense; says which, and what to give.
    """
    try:
        values = {name: node.get_parameter(name).value for name in PARAMETERS}
    except ParameterUninitializedException as error:
        raise ConfigurationError(
            f"a parameter has no value, and an empty list is none: {error}"
        ) from error
    values["cameras"] = tuple(values["cameras"] or ())
    _check_cameras(values["cameras"], values["min_cameras"])
    for name, entry in PARAMETERS.items():
        is_switch = entry.or_switch and isinstance(values[name], bool)
        if entry.choices and values[name] not in entry.choices and not is_switch:
            raise ConfigurationError(
                f"parameter {name} must be {entry.expected}, got {values[name]!r}"
            )
    if values["rectified"] == "auto":
        values["rectified"] = None
    if values["sync_timeout_ms"] < values["sync_tolerance_ms"]:
        raise ConfigurationError(
            f"parameter sync_timeout_ms ({values['sync_timeout_ms']}) must not be less than "
            f"sync_tolerance_ms ({values['sync_tolerance_ms']})"
        )
    values["base_frame"] = values["base_frame"].lstrip("/")
    if not values["base_frame"]:
        raise ConfigurationError("parameter base_frame is empty; name the vehicle's TF frame")
    own = {field.name for field in fields(PipelineSettings)} & values.keys()
    settings = PipelineSettings(**{name: values.pop(name) for name in own})
    return NodeParameters(settings=settings, **values)


def changed_settings(
    settings: PipelineSettings, changes: Iterable[Parameter], configured: bool
) -> PipelineSettings:
    """Settings after a change of parameters at run time.

    Args:
        settings: those in use.
        changes: as given to the node; names that are not in PARAMETERS pass.
        configured: whether the others have been read already, so that it is too late for them.

    Raises:
        ConfigurationError: a value makes no sense, or its parameter cannot be changed now.
    """
    live: dict[str, Any] = {}
    for change in changes:
        if change.name in LIVE:
            live[change.name] = change.value
        elif change.name in PARAMETERS and configured:
            raise ConfigurationError(
                f"{change.name} is read when the node is configured; deactivate and clean it up "
                f"first, or start it with the new value. While it runs these can be changed: "
                f"{', '.join(LIVE)}"
            )
    return replace(settings, **live)


def _check_cameras(cameras: tuple[str, ...], min_cameras: int) -> None:
    if not 1 <= len(cameras) <= MAX_CAMERAS or len(set(cameras)) != len(cameras):
        raise ConfigurationError(
            f"parameter cameras must name 1 to {MAX_CAMERAS} different cameras, got {list(cameras)}"
        )
    for camera in cameras:
        if not camera.isidentifier() or not camera.isascii():
            raise ConfigurationError(
                f"parameter cameras: {camera!r} cannot be part of a topic name; use letters, "
                f"digits and underscores, a letter first"
            )
    if min_cameras > len(cameras):
        raise ConfigurationError(
            f"parameter min_cameras is {min_cameras}, but cameras names only {len(cameras)}: "
            f"{', '.join(cameras)}"
        )
