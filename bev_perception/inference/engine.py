# SPDX-License-Identifier: Apache-2.0
"""The small interface behind which every inference engine stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.errors import EngineError
from bev_perception.geometry import PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.model import (
    GatherTable,
    ImageResize,
    LiftGeometry,
    SegnetConfig,
    TapTable,
    build_lift_geometry,
)
from bev_perception.model.feature_memory import MemoryStep
from bev_perception.model.lift_config import GATHER_LIFTS
from bev_perception.model.lift_geometry import geometry_problem


@dataclass(frozen=True)
class RawOutput:
    """What a network says about one moment, before objects are found in it.

    Attributes:
        probability: (Y, X) float32 in 0..1, occupancy by the likeliest class.
        center: (Y, X) float32 in 0..1, centre map.
        offset: (2, Y, X) float32 metres, x then y, from the cell to its object's centre.
        class_probability: (K, Y, X) float32 in 0..1 of each class; None for a network of one.
        velocity: (2, Y, X) float32 metres per second over ground, x then y; None without memory,
            and for sets before which there is nothing to remember.
    """

    probability: NDArray[np.float32]
    center: NDArray[np.float32]
    offset: NDArray[np.float32]
    class_probability: NDArray[np.float32] | None = None
    velocity: NDArray[np.float32] | None = None


class Engine(Protocol):
    """Runs a network on prepared images."""

    @property
    def config(self) -> SegnetConfig:
        """What the network was built for."""

    @property
    def backend(self) -> str:
        """Which library runs it: a key of BACKENDS, never "auto"."""

    @property
    def device(self) -> str:
        """Where it runs: "cpu", "cuda" or "cuda:N", never "auto"."""

    @property
    def precision(self) -> str:
        """Its arithmetic: a key of PRECISIONS, never "auto"."""

    @property
    def takes_raw_images(self) -> bool:
        """Whether images go in as cameras send them, and are resized by the network's graph."""

    def infer(
        self, images: NDArray[np.uint8], taps: LiftGeometry, resize: ImageResize | None = None
    ) -> RawOutput:
        """One moment.

        Args:
            images: (S, H, W, 3) uint8 RGB in rig order; missing cameras hold anything, the
                table leaves them out.
            taps: of one rig with S cameras, for the network's lift.
            resize: of the rig's images, where the engine takes them raw.

        Raises:
            EngineError: images or taps do not fit the network.
        """

    def warm_up(self, num_cameras: int) -> None:
        """Builds and runs what it can before the first images come.

        Args:
            num_cameras: of the rig to come.
        """


def takes_raw_images(engine: Engine) -> bool:
    """Whether images go in as cameras send them; engines that do not say take prepared ones."""
    return bool(getattr(engine, "takes_raw_images", False))


class RememberingEngine(Engine, Protocol):
    """Runs networks with memory or a sensor, too: what they remember is its caller's."""

    def infer(
        self,
        images: NDArray[np.uint8],
        taps: LiftGeometry,
        resize: ImageResize | None = None,
        memory: MemoryStep | None = None,
        sensor_map: Tensor | None = None,
    ) -> RawOutput:
        """See Engine.infer.

        Args:
            images, taps, resize: see Engine.infer.
            memory: of the one stream that these images go on with; None for a set for itself.
            sensor_map: see model.sensor_map.cloud_map; None where nothing was measured.
        """


def infer(
    engine: Engine,
    images: NDArray[np.uint8],
    taps: LiftGeometry,
    resize: ImageResize | None = None,
    memory: MemoryStep | None = None,
    sensor_map: Tensor | None = None,
    rig_id: str = "",
) -> RawOutput:
    """Engine.infer, with a memory or a sensor's map where there is one; networks with either run
    in engines that take it.

    Args:
        engine: that runs the network.
        images, taps, resize: see Engine.infer.
        memory, sensor_map: see RememberingEngine.infer.
        rig_id: PreparedSet.rig_id of the images, which must be the table's; "" is not compared.

    Raises:
        EngineError: see Engine.infer; or the table is of another rig than the images.
    """
    check_same_rig("images", rig_id, taps)
    if memory is not None or sensor_map is not None:
        remembering = cast(RememberingEngine, engine)
        return remembering.infer(images, taps, resize, memory, sensor_map)
    return engine.infer(images, taps) if resize is None else engine.infer(images, taps, resize)


class EngineMemoryError(EngineError):
    """The device has too little memory for the network."""


def is_memory_error(error: BaseException) -> bool:
    """Whether it says that memory is short, on CUDA devices or in the host's memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "out of memory" in text
    )


def raw_output(maps: Tensor, velocity: Tensor | None = None) -> RawOutput:
    """The output from a network's maps.

    Args:
        maps: (K + 3, Y, X) float32: occupancy of K classes and centre before the sigmoid, offset
            x and y.
        velocity: (2, Y, X) float32.
    """
    speeds = None if velocity is None else velocity.contiguous().cpu().numpy()
    shares = maps[:-2].sigmoid().contiguous().cpu().numpy()
    offset = maps[-2:].clone(memory_format=torch.contiguous_format).cpu().numpy()
    classes, center = shares[:-1], shares[-1]
    if len(classes) == 1:
        return RawOutput(classes[0], center, offset, velocity=speeds)
    return RawOutput(classes.max(axis=0), center, offset, classes, speeds)


def any_table(config: SegnetConfig, num_cameras: int) -> LiftGeometry:
    """A table as large as a rig's: every voxel takes four feature cells."""
    if config.lift not in GATHER_LIFTS:
        return build_lift_geometry(_any_rig(config, num_cameras), config)
    voxel_shape = (*config.grid.shape, len(config.heights_m))
    rows, columns = config.feature_shape
    count = 4 * voxel_shape[0] * voxel_shape[1] * voxel_shape[2]
    table = GatherTable(
        torch.arange(count, dtype=torch.int32) % (num_cameras * rows * columns),
        torch.arange(0, count + 1, 4, dtype=torch.int32),
        torch.full((count,), 0.25),
    )
    seen = np.ones(config.grid.shape, dtype=bool)
    return TapTable(table, None, 1, num_cameras, config.feature_shape, voxel_shape, seen)


def _any_rig(config: SegnetConfig, num_cameras: int) -> Rig:
    """Cameras that look outwards all around."""
    height, width = config.image_size
    camera = PinholeCamera.from_field_of_view(width, height, 100.0)
    turns = [2.0 * np.pi * index / num_cameras for index in range(num_cameras)]
    mounts = [RigidTransform.from_euler(0.0, 0.05, yaw, (0.0, 0.0, 1.6)) for yaw in turns]
    cameras = [RigCamera(camera, mount @ BODY_T_OPTICAL) for mount in mounts]
    return Rig({f"camera{index}": entry for index, entry in enumerate(cameras)})


def checked_map(config: SegnetConfig, sensor_map: Tensor | None) -> Tensor | None:
    """The sensor's map for a network; one of nothing where it takes a map and none is given.

    Raises:
        EngineError: the network takes images alone, or a map of another shape.
    """
    if not config.sensor_channels:
        if sensor_map is not None:
            raise EngineError(
                "this network takes images alone, and got a sensor's map; leave it out"
            )
        return None
    expected = (1, config.sensor_channels, *config.grid.shape)
    if sensor_map is None:
        return torch.zeros(expected)
    if tuple(sensor_map.shape) != expected:
        raise EngineError(
            f"the sensor's map must have shape {expected} for this network, got "
            f"{tuple(sensor_map.shape)}; make it with model.sensor_map.cloud_map"
        )
    return sensor_map


def check_same_rig(what: str, rig_id: str, taps: LiftGeometry) -> None:
    """Refuses a table that was built for another rig, which nothing in its shape tells.

    Args:
        what: belongs to the rig, in words.
        rig_id: of that; "" is of any rig.
        taps: the table; one that does not say its rig is believed.

    Raises:
        EngineError: they are of different rigs.
    """
    if rig_id and taps.rig_id and rig_id != taps.rig_id:
        raise EngineError(
            f"the {what} are of rig {rig_id}, but the lift's table was built for rig "
            f"{taps.rig_id}; what it would look up lies elsewhere in these images. Make both from "
            f"one calibration, as perception.Calibration does, or build the table with this "
            f"rig's preparation.rig"
        )


def check_inputs(
    config: SegnetConfig,
    images: NDArray[np.uint8],
    taps: LiftGeometry,
    resize: ImageResize | None = None,
) -> None:
    """Refuses what a network of this configuration cannot take.

    Args:
        config: of the network.
        images, taps, resize: see Engine.infer.

    Raises:
        EngineError: with the value seen and the one expected.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        seen = getattr(images, "dtype", type(images).__name__)
        raise EngineError(f"images must be a uint8 array (S, H, W, 3), got {seen}")
    height, width = config.image_size if resize is None else resize.source_size
    if images.ndim != 4 or images.shape[1:] != (height, width, 3):
        whose = "this model" if resize is None else "these resize matrices"
        raise EngineError(
            f"images must have shape (S, {height}, {width}, 3) for {whose}, got {images.shape}"
        )
    if resize is not None and (
        resize.target_size != config.image_size or len(resize.rows) != len(images)
    ):
        raise EngineError(
            f"the resize matrices are for {len(resize.rows)} cameras and images of "
            f"{resize.target_size}, but there are {len(images)} images and this model takes "
            f"{config.image_size}; make them with perception.Preparation of this rig and model"
        )
    if resize is not None:
        check_same_rig("resize matrices", resize.rig_id, taps)
    if taps.batch_size != 1 or taps.num_cameras != len(images):
        raise EngineError(
            f"{len(images)} images, but the tap table is for {taps.num_cameras} cameras "
            f"of {taps.batch_size} rigs; one image per camera of one rig is needed, black where "
            f"a camera is missing"
        )
    problem = geometry_problem(taps, config)
    if problem:
        raise EngineError(f"{problem}; build it with this model's configuration")
