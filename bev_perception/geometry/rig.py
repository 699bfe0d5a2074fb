# SPDX-License-Identifier: Apache-2.0
"""Rigs of cameras, and the images that they take together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError
from bev_perception.geometry.camera import PinholeCamera
from bev_perception.geometry.frames import levelled
from bev_perception.geometry.transform import RigidTransform


@dataclass(frozen=True)
class RigCamera:
    """One mounted camera.

    Attributes:
        camera: intrinsics.
        base_T_camera: takes points of the optical frame (x right, y down, z forward)
            to base_link (x forward, y left, z up).
        frame_id: name of the optical frame in TF.
    """

    camera: PinholeCamera
    base_T_camera: RigidTransform
    frame_id: str = ""

    @cached_property
    def camera_T_base(self) -> RigidTransform:
        """The inverse of base_T_camera, worked out once."""
        return self.base_T_camera.inverse()

    def project(
        self, points_base: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Pixels (..., 2) of points (..., 3) in base_link, and whether they are in front."""
        return self.camera.project(self.camera_T_base.apply(points_base))

    def resized(self, width: int, height: int) -> RigCamera:
        """The same mounting with a resampled image."""
        return replace(self, camera=self.camera.resized(width, height))

    def cropped(self, left: int, top: int, width: int, height: int) -> RigCamera:
        """The same mounting with a window of the image."""
        return replace(self, camera=self.camera.cropped(left, top, width, height))


@dataclass(frozen=True, eq=False)
class Rig:
    """All cameras of a vehicle by name, in a fixed order.

    The order is the one in which images are stacked for the network; rigs are equal when
    cameras and order are.
    """

    cameras: Mapping[str, RigCamera]

    def __post_init__(self) -> None:
        if not self.cameras:
            raise ConfigurationError("a rig needs at least one camera")
        object.__setattr__(self, "cameras", MappingProxyType(dict(self.cameras)))

    @property
    def names(self) -> tuple[str, ...]:
        """Camera names in order."""
        return tuple(self.cameras)

    def __getitem__(self, name: str) -> RigCamera:
        return self.cameras[name]

    def __len__(self) -> int:
        return len(self.cameras)

    def __iter__(self) -> Iterator[str]:
        return iter(self.cameras)

    def __contains__(self, name: object) -> bool:
        return name in self.cameras

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rig):
            return NotImplemented
        return tuple(self.cameras.items()) == tuple(other.cameras.items())

    def __hash__(self) -> int:
        return hash(tuple(self.cameras.items()))

    def __reduce__(self) -> tuple[type[Rig], tuple[dict[str, RigCamera]]]:
        return Rig, (dict(self.cameras),)

    def subset(self, names: Iterable[str]) -> Rig:
        """The named cameras, in the order given.

        Raises:
            ConfigurationError: a name is not in the rig.
        """
        chosen = tuple(names)
        unknown = [name for name in chosen if name not in self.cameras]
        if unknown:
            raise ConfigurationError(
                f"no camera {', '.join(map(repr, unknown))} in the rig; "
                f"it has {', '.join(self.names)}"
            )
        return Rig({name: self.cameras[name] for name in chosen})

    def moved(self, target_T_base: RigidTransform) -> Rig:
        """Extrinsics expressed in another base frame, for example the levelled one."""
        return Rig(
            {
                name: replace(entry, base_T_camera=target_T_base @ entry.base_T_camera)
                for name, entry in self.cameras.items()
            }
        )


@dataclass(frozen=True, eq=False)
class CameraFrame:
    """One image of one camera.

    Attributes:
        camera: name in the rig.
        stamp_ns: time of exposure, integer nanoseconds of the bag's or ROS clock.
        image: (height, width, 3) uint8 RGB as the camera gave it, not resized.
    """

    camera: str
    stamp_ns: int
    image: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FrameSet:
    """Images of one moment, perhaps with cameras missing.

    Attributes:
        stamp_ns: the anchor's stamp in nanoseconds, the stamp of everything made of it.
        frames: by camera name; only those that came.
        missing: names of the rig's cameras that did not come in time.
        world_T_base: ego pose at stamp_ns, or one of pose_age_ns before, in a gravity-aligned
            world frame (map or odom), or None when unknown; levels the map.
        level_T_base: attitude by an IMU, see frames.levelled, where there is no pose; else None.
        points: (N, 3) metres of a LiDAR or radar cloud, in base_link (not levelled) at stamp_ns,
            with RADAR_VALUES behind for networks that take them; None where there is none or
            nobody asked for one.
        world_frame: the frame of world_T_base where its source tells it, else "". Poses of two
            frames lie offsets apart that nobody knows.
        pose_age_ns: how much older than stamp_ns the motion in world_T_base is; 0 where that is
            the pose at stamp_ns. An older one levels the map, but tells no place at stamp_ns.
    """

    stamp_ns: int
    frames: Mapping[str, CameraFrame]
    missing: tuple[str, ...] = ()
    world_T_base: RigidTransform | None = None
    points: NDArray[np.floating] | None = None
    level_T_base: RigidTransform | None = None
    world_frame: str = ""
    pose_age_ns: int = 0

    @property
    def attitude(self) -> RigidTransform | None:
        """``level_T_base`` by pose or IMU; None where nothing tells it."""
        return self.level_T_base if self.world_T_base is None else levelled(self.world_T_base)
