# SPDX-License-Identifier: Apache-2.0
"""Parameters of the town node, each with its description and range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from bev_perception.errors import ConfigurationError
from bev_perception.resources import config_path
from bev_perception.simulation.weather import KINDS

MAX_SEED = 2**31 - 1
TRUTH_TOPIC = "ground_truth/objects"


def _parameter(
    default: Any,
    description: str,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    live: bool = False,
) -> Any:
    """A dataclass field that knows what its parameter's descriptor says."""
    about = {"description": description, "low": low, "high": high, "choices": tuple(choices)}
    about["live"] = live
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class TownSettings:
    """What can be chosen about a live drive. Only paused can be changed while it goes on."""

    town: int = _parameter(
        11000,
        "Seed of the town; the same seed gives the same town. Tests: 11000 to 11999",
        0,
        MAX_SEED,
    )
    traffic_seed: int = _parameter(
        -1, "Seed of the traffic in it; -1 takes the town's", -1, MAX_SEED
    )
    weather: str = _parameter(
        "", f"One of {', '.join(KINDS)}; empty draws one by the town's seed", choices=("", *KINDS)
    )
    rate_hz: float = _parameter(10.0, "Camera sets per second of simulated time", 0.1, 100.0)
    rig_file: str = _parameter(
        "", "Cameras of the vehicle, a YAML file; empty takes the shipped four"
    )
    jpeg_quality: int = _parameter(
        0, "1 to 100 publishes JPEG below image_raw/compressed; 0 publishes raw rgb8", 0, 100
    )
    reliability: str = _parameter(
        "reliable",
        "Of images and CameraInfo. reliable fits every subscriber, best_effort only those that "
        "ask for no more",
        choices=("reliable", "best_effort"),
    )
    num_sets: int = _parameter(
        0, "Ends the process after so many camera sets; 0 drives without end", 0, MAX_SEED
    )
    max_real_time_factor: float = _parameter(
        1.0, "Simulated seconds per second at most; 0 drives as fast as it can", 0.0, 1000.0
    )
    paused: bool = _parameter(
        False, "Whether time stands still; can be changed while the node runs", live=True
    )
    wait_for_subscribers: int = _parameter(
        0, "Drives once so many subscribers are matched on every image and CameraInfo topic", 0, 100
    )
    wait_for_subscribers_on: tuple[str, ...] = _parameter(
        ("",), "Other topics of this node that need a subscriber before it drives, such as /odom"
    )
    wait_for_topic: str = _parameter(
        "",
        "An OccupancyGrid topic: the next set is made once an output with the stamp of the last "
        "one has come on it; empty waits for nobody",
    )
    lockstep_timeout_s: float = _parameter(
        5.0,
        "How long to wait for that output, seconds; goes on without it, counts it, says so",
        0.01,
        3600.0,
    )
    publish_ground_truth: bool = _parameter(True, f"Publish what is really there on {TRUTH_TOPIC}")
    publish_clock: bool = _parameter(True, "Publish simulated time on /clock")

    @property
    def rig_path(self) -> Path:
        """The rig file, the shipped one where none is named."""
        return Path(self.rig_file) if self.rig_file else config_path("rigs/default.yaml")

    @property
    def other_waited_topics(self) -> tuple[str, ...]:
        """wait_for_subscribers_on without empty names, which ROS needs for an empty list."""
        return tuple(name for name in self.wait_for_subscribers_on if name)


def declare_town_settings(node: Node) -> TownSettings:
    """Declares every parameter on the node and reads them.

    Raises:
        ConfigurationError: a value of another type or outside its range; names the parameter.
    """
    values: dict[str, Any] = {}
    for entry in fields(TownSettings):
        descriptor = _descriptor(entry.metadata, entry.default)
        try:
            value = node.declare_parameter(entry.name, entry.default, descriptor).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ConfigurationError(f"parameter {entry.name} of the town node: {error}") from error
        choices = entry.metadata["choices"]
        if choices and value not in choices:
            raise ConfigurationError(
                f"parameter {entry.name} of the town node: {value!r} is none of "
                f"{', '.join(map(repr, choices))}"
            )
        values[entry.name] = tuple(value) if isinstance(entry.default, tuple) else value
    return TownSettings(**values)


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
