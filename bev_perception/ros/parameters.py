# SPDX-License-Identifier: Apache-2.0
"""The perception node's parameters: declared with description and range, read into plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from bev_perception.errors import ConfigurationError
from bev_perception.perception import PipelineSettings

MAX_CAMERAS = 8
_MILLISECONDS = 1_000_000
_THRESHOLD = (0.001, 0.999)
_LEAST_M = 0.01
_A_LIST = "a list of names such as [front, rear]"

LIVE = (
    "occupancy_threshold",
    "center_threshold",
    "peak_radius_m",
    "group_radius_m",
    "min_cells",
    "max_objects",
    "object_height_m",
)
"""What can be changed while the node runs; the rest is read when it is configured."""


@dataclass(frozen=True)
class _Entry:
    """One parameter.

    Attributes:
        default: also says the type.
        description: for `ros2 param describe`.
        low, high: range of a number, both ends allowed.
        choices: the only values of a text.
    """

    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


_DEFAULTS = PipelineSettings()

PARAMETERS: dict[str, _Entry] = {
    "cameras": _Entry(
        ["front", "left", "rear", "right"],
        "names of the cameras, 1 to 8; each has the topics ~/input/<name>/image and "
        "~/input/<name>/camera_info",
    ),
    "image_transport": _Entry(
        "raw",
        "type of the image topics: raw is sensor_msgs/Image, compressed is CompressedImage",
        choices=("raw", "compressed"),
    ),
    "rectified": _Entry(
        False, "whether the images are rectified, so that CameraInfo's p and r hold, not k and d"
    ),
    "rig_file": _Entry(
        "", "rig file that overrides CameraInfo and TF for the cameras that it names; empty: none"
    ),
    "base_frame": _Entry(
        "base_link", "TF frame of the vehicle: x forward, y left, z up, on the ground"
    ),
    "world_frame": _Entry(
        "",
        "TF frame at rest whose z is up, for levelling and velocities; "
        "empty: the first of map, odom, world that TF connects",
    ),
    "weights": _Entry("tiny", "name of shipped weights, or a .safetensors file"),
    "device": _Entry("auto", "where the network runs: auto, cpu, cuda or cuda:N"),
    "precision": _Entry(
        "auto", "arithmetic of the network", choices=("auto", "fp32", "bf16", "fp16")
    ),
    "backend": _Entry(
        "auto",
        "library that runs the network; tensorrt and cuda run on NVIDIA GPUs, openvino and cpu on "
        "the CPU, onnx on either",
        choices=("auto", "tensorrt", "cuda", "openvino", "onnx", "cpu"),
    ),
    "cpu_fallback": _Entry(
        False, "whether the CPU takes over when the GPU has too little memory for the network"
    ),
    "camera_batch": _Entry(
        0,
        "cameras that go through PyTorch's encoder at a time, which bounds its memory; 0: all, and "
        "fewer once the memory turns out to be too small",
        0,
        MAX_CAMERAS,
    ),
    "torch_mode": _Entry(
        "auto",
        "how PyTorch runs the network; auto is graph (one CUDA graph) on a GPU, eager on a CPU",
        choices=("auto", "eager", "graph", "compile"),
    ),
    "resize": _Entry(
        "auto",
        "where images are resized: host (before the network), graph (by PyTorch, with the network) "
        "or auto (graph on a GPU)",
        choices=("auto", "host", "graph"),
    ),
    "num_threads": _Entry(0, "threads of the network on a CPU; 0: torch's choice", 0, 256),
    "sync_tolerance_ms": _Entry(
        50, "largest difference between the stamps of one set, milliseconds", 0, 10_000
    ),
    "sync_timeout_ms": _Entry(
        200, "after this long a set goes on with the cameras that came, milliseconds", 1, 60_000
    ),
    "min_cameras": _Entry(1, "sets of fewer cameras are dropped", 1, MAX_CAMERAS),
    "tf_timeout_ms": _Entry(
        100, "how long a set waits for the ego pose at its stamp, milliseconds", 0, 60_000
    ),
    "occupancy_threshold": _Entry(
        _DEFAULTS.occupancy_threshold, "probability from which a cell is occupied", *_THRESHOLD
    ),
    "center_threshold": _Entry(
        _DEFAULTS.center_threshold,
        "value of the centre map from which a peak is an object",
        *_THRESHOLD,
    ),
    "peak_radius_m": _Entry(
        _DEFAULTS.peak_radius_m,
        "of two peaks closer than this the lower is dropped, metres",
        _LEAST_M,
        50,
    ),
    "group_radius_m": _Entry(
        _DEFAULTS.group_radius_m,
        "how far from a peak its cells' offsets may point, metres",
        _LEAST_M,
        50,
    ),
    "min_cells": _Entry(
        _DEFAULTS.min_cells, "objects of fewer occupied cells are dropped", 1, 10_000
    ),
    "max_objects": _Entry(_DEFAULTS.max_objects, "only the highest peaks are kept", 1, 10_000),
    "object_height_m": _Entry(
        _DEFAULTS.object_height_m, "height given to every object, metres", _LEAST_M, 20
    ),
    "level": _Entry(True, "whether the map is levelled with gravity where the ego pose is known"),
    "level_tolerance_deg": _Entry(
        _DEFAULTS.level_tolerance_deg,
        "change of attitude from which the map is levelled anew, degrees",
        0,
        45,
    ),
    "track": _Entry(True, "whether objects get ids and velocities over time"),
    "image_reliability": _Entry(
        "best_effort",
        "reliability of the image subscriptions; best_effort fits every publisher",
        choices=("best_effort", "reliable"),
    ),
    "image_depth": _Entry(5, "queue depth of the image subscriptions", 1, 100),
    "grid_durability": _Entry(
        "volatile",
        "durability of the grids; nav2's static layer needs transient_local",
        choices=("volatile", "transient_local"),
    ),
    "diagnostics_period_s": _Entry(1.0, "time between diagnostics, seconds", 0.05, 60.0),
    "autostart": _Entry(
        True, "whether the node configures and activates itself; false leaves it to a manager"
    ),
}


@dataclass(frozen=True)
class NodeParameters:
    """Values of PARAMETERS, by the same names and units; the pipeline's are in settings."""

    cameras: tuple[str, ...]
    image_transport: str
    rectified: bool
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
    image_reliability: str
    image_depth: int
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
            node.declare_parameter(name, entry.default, _descriptor(entry))
        except InvalidParameterTypeException as error:
            raise ConfigurationError(
                f"parameter {name} must be {_expected(entry)}: {error}"
            ) from error
        except InvalidParameterValueException as error:
            raise ConfigurationError(
                f"parameter {name} must be {_expected(entry)}: {error}"
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
        if entry.choices and values[name] not in entry.choices:
            raise ConfigurationError(
                f"parameter {name} must be {_expected(entry)}, got {values[name]!r}"
            )
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


def _descriptor(entry: _Entry) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=entry.description)
    if entry.choices:
        descriptor.additional_constraints = f"one of {', '.join(entry.choices)}"
    if entry.low is not None and entry.high is not None:
        if isinstance(entry.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(entry.low), to_value=float(entry.high))
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=int(entry.low), to_value=int(entry.high))
            ]
    return descriptor


def _expected(entry: _Entry) -> str:
    """What a parameter takes, in words."""
    if entry.choices:
        return f"one of {', '.join(entry.choices)}"
    kinds = {bool: "true or false", int: "a whole number", float: "a number with a decimal point"}
    kind = kinds.get(type(entry.default), "text" if isinstance(entry.default, str) else _A_LIST)
    if entry.low is None:
        return kind
    return f"{kind} from {entry.low:g} to {entry.high:g}"
