# SPDX-License-Identifier: Apache-2.0
"""Which parameters the perception node has: default, description and range of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from bev_perception.perception import PipelineSettings

MAX_CAMERAS = 8
_THRESHOLD = (0.001, 0.999)
_LEAST_M, _LEAST_M2 = 0.01, 0.0001
_A_LIST = "a list of names such as [front, rear]"

LIVE = (
    "occupancy_threshold",
    "center_threshold",
    "peak_radius_m",
    "pedestrian_radius_m",
    "two_wheeler_radius_m",
    "group_radius_m",
    "min_area_m2",
    "pedestrian_min_area_m2",
    "two_wheeler_min_area_m2",
    "max_objects",
    "object_height_m",
    "residual_pose",
)
"""What can be changed while the node runs; the rest is read when it is configured."""


@dataclass(frozen=True)
class ParameterEntry:
    """One parameter.

    Attributes:
        default: also says the type.
        description: for `ros2 param describe`.
        low, high: range of a number, both ends allowed.
        choices: the only values of a text.
        or_switch: whether true and false are values besides the choices.
    """

    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    or_switch: bool = False

    @property
    def descriptor(self) -> ParameterDescriptor:
        """What the node declares of it."""
        descriptor = ParameterDescriptor(
            description=self.description, dynamic_typing=self.or_switch
        )
        if self.choices:
            descriptor.additional_constraints = self.expected
        if self.low is not None and self.high is not None:
            if isinstance(self.default, float):
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=float(self.low), to_value=float(self.high))
                ]
            else:
                descriptor.integer_range = [
                    IntegerRange(from_value=int(self.low), to_value=int(self.high))
                ]
        return descriptor

    @property
    def expected(self) -> str:
        """What it takes, in words."""
        if self.choices:
            switch = ("true", "false") if self.or_switch else ()
            return f"one of {', '.join((*self.choices, *switch))}"
        kinds = {
            bool: "true or false",
            int: "a whole number",
            float: "a number with a decimal point",
        }
        kind = kinds.get(type(self.default), "text" if isinstance(self.default, str) else _A_LIST)
        if self.low is None:
            return kind
        return f"{kind} from {self.low:g} to {self.high:g}"


_DEFAULTS = PipelineSettings()

PARAMETERS: dict[str, ParameterEntry] = {
    "cameras": ParameterEntry(
        ["front", "left", "rear", "right"],
        "names of the cameras, 1 to 8; each has the topics ~/input/<name>/image and "
        "~/input/<name>/camera_info",
    ),
    "image_transport": ParameterEntry(
        "raw",
        "type of the image topics: raw is sensor_msgs/Image, compressed is CompressedImage",
        choices=("raw", "compressed"),
    ),
    "rectified": ParameterEntry(
        "auto",
        "whether the images are rectified, so that CameraInfo's p and r hold, not k and d; auto: "
        "those whose topic, after remapping, is named image_rect or image_rect_color",
        choices=("auto",),
        or_switch=True,
    ),
    "rig_file": ParameterEntry(
        "", "rig file that overrides CameraInfo and TF for the cameras that it names; empty: none"
    ),
    "base_frame": ParameterEntry(
        "base_link", "TF frame of the vehicle: x forward, y left, z up, on the ground"
    ),
    "world_frame": ParameterEntry(
        "",
        "TF frame at rest whose z is up, for levelling and velocities; "
        "empty: the first of map, odom, world that TF connects",
    ),
    "weights": ParameterEntry("tiny", "name of shipped weights, or a .safetensors file"),
    "device": ParameterEntry("auto", "where the network runs: auto, cpu, cuda or cuda:N"),
    "precision": ParameterEntry(
        "auto", "arithmetic of the network", choices=("auto", "fp32", "bf16", "fp16")
    ),
    "backend": ParameterEntry(
        "auto",
        "library that runs the network; tensorrt and cuda run on NVIDIA GPUs, openvino and cpu on "
        "the CPU, onnx on either",
        choices=("auto", "tensorrt", "cuda", "openvino", "onnx", "cpu"),
    ),
    "cpu_fallback": ParameterEntry(
        False, "whether the CPU takes over when the GPU has too little memory for the network"
    ),
    "camera_batch": ParameterEntry(
        0,
        "cameras that go through PyTorch's encoder at a time, which bounds its memory; 0: all, and "
        "fewer once the memory turns out to be too small",
        0,
        MAX_CAMERAS,
    ),
    "torch_mode": ParameterEntry(
        "auto",
        "how PyTorch runs the network; auto is graph (one CUDA graph) on a GPU, eager on a CPU",
        choices=("auto", "eager", "graph", "compile"),
    ),
    "resize": ParameterEntry(
        "auto",
        "where images are resized: host (before the network), graph (by PyTorch, with the network) "
        "or auto (graph on a GPU)",
        choices=("auto", "host", "graph"),
    ),
    "num_threads": ParameterEntry(0, "threads of the network on a CPU; 0: torch's choice", 0, 256),
    "sync_tolerance_ms": ParameterEntry(
        50, "largest difference between the stamps of one set, milliseconds", 0, 10_000
    ),
    "sync_timeout_ms": ParameterEntry(
        200, "after this long a set goes on with the cameras that came, milliseconds", 1, 60_000
    ),
    "min_cameras": ParameterEntry(1, "sets of fewer cameras are dropped", 1, MAX_CAMERAS),
    "tf_timeout_ms": ParameterEntry(
        100, "how long a set waits for the ego pose at its stamp, milliseconds", 0, 60_000
    ),
    "points_tolerance_ms": ParameterEntry(
        50,
        "largest difference between the stamps of a point cloud and of a set, milliseconds",
        0,
        10_000,
    ),
    "points_timeout_ms": ParameterEntry(
        50,
        "how long a set waits for its point cloud, where the network or labelled_points needs "
        "one, milliseconds",
        0,
        1000,
    ),
    "labelled_points": ParameterEntry(
        False, "whether ~/labelled_points says of every LiDAR point what the map says of its place"
    ),
    "imu": ParameterEntry(
        False, "whether ~/input/imu tells roll and pitch where no ego pose tells them"
    ),
    "occupancy_threshold": ParameterEntry(
        _DEFAULTS.occupancy_threshold, "probability from which a cell is occupied", *_THRESHOLD
    ),
    "center_threshold": ParameterEntry(
        _DEFAULTS.center_threshold,
        "value of the centre map from which a peak is an object",
        *_THRESHOLD,
    ),
    "peak_radius_m": ParameterEntry(
        _DEFAULTS.peak_radius_m,
        "of two peaks closer than this the lower is dropped, metres; where classes are told "
        "apart, of two vehicles",
        _LEAST_M,
        50,
    ),
    "pedestrian_radius_m": ParameterEntry(
        _DEFAULTS.pedestrian_radius_m, "the same of two pedestrians", _LEAST_M, 50
    ),
    "two_wheeler_radius_m": ParameterEntry(
        _DEFAULTS.two_wheeler_radius_m, "the same of two two-wheelers", _LEAST_M, 50
    ),
    "group_radius_m": ParameterEntry(
        _DEFAULTS.group_radius_m,
        "how far from a peak its cells' offsets may point, metres",
        _LEAST_M,
        50,
    ),
    "min_area_m2": ParameterEntry(
        _DEFAULTS.min_area_m2,
        "objects whose occupied cells cover less are dropped, square metres; where classes are "
        "told apart, vehicles",
        _LEAST_M2,
        100,
    ),
    "pedestrian_min_area_m2": ParameterEntry(
        _DEFAULTS.pedestrian_min_area_m2, "the same for pedestrians", _LEAST_M2, 100
    ),
    "two_wheeler_min_area_m2": ParameterEntry(
        _DEFAULTS.two_wheeler_min_area_m2, "the same for two-wheelers", _LEAST_M2, 100
    ),
    "max_objects": ParameterEntry(
        _DEFAULTS.max_objects, "only the highest peaks are kept", 1, 10_000
    ),
    "object_height_m": ParameterEntry(
        _DEFAULTS.object_height_m, "height given to every object, metres", _LEAST_M, 20
    ),
    "level": ParameterEntry(
        True, "whether the map is levelled with gravity where the ego pose is known"
    ),
    "level_tolerance_deg": ParameterEntry(
        _DEFAULTS.level_tolerance_deg,
        "change of attitude from which the map is levelled anew, degrees",
        0,
        45,
    ),
    "residual_pose": ParameterEntry(
        _DEFAULTS.residual_pose,
        "whether errors of the cameras' attitude and height are measured in the images, taken out "
        "of the lift and reported",
    ),
    "track": ParameterEntry(True, "whether objects get ids and velocities over time"),
    "image_reliability": ParameterEntry(
        "best_effort",
        "reliability of the image subscriptions; best_effort fits every publisher",
        choices=("best_effort", "reliable"),
    ),
    "image_depth": ParameterEntry(5, "queue depth of the image subscriptions", 1, 100),
    "max_image_rate_hz": ParameterEntry(
        200.0,
        "a camera that sends more images per second is left out until it sends fewer",
        1,
        10_000,
    ),
    "max_image_mb": ParameterEntry(
        64.0,
        "a camera that sends larger messages is left out until it stops, megabytes",
        0.1,
        2_000,
    ),
    "max_tf_rate_hz": ParameterEntry(
        2000.0, "transforms per second that are taken from /tf, of bursts as many", 100, 1_000_000
    ),
    "max_tf_frames": ParameterEntry(
        500, "frames that are kept; transforms to further ones are refused", 10, 100_000
    ),
    "min_recalibration_s": ParameterEntry(
        0.5, "time between two changes of the rig; the newest one waits for it, seconds", 0.0, 60.0
    ),
    "grid_durability": ParameterEntry(
        "volatile",
        "durability of the grids; nav2's static layer needs transient_local",
        choices=("volatile", "transient_local"),
    ),
    "diagnostics_period_s": ParameterEntry(1.0, "time between diagnostics, seconds", 0.05, 60.0),
    "latency_budget_ms": ParameterEntry(
        250,
        "a set takes no longer from its newest image's arrival to all published, milliseconds; "
        "overruns are counted in diagnostics; 0: no budget",
        0,
        60_000,
    ),
    "watchdog_s": ParameterEntry(
        0.6,
        "a set in work for longer, and four times longer than usual, hangs: diagnostics say so at "
        "once and it is not published any more, seconds; 0: never",
        0.0,
        60.0,
    ),
    "autostart": ParameterEntry(
        True, "whether the node configures and activates itself; false leaves it to a manager"
    ),
}
