# SPDX-License-Identifier: Apache-2.0
"""From a recording or a simulation to synchronised sets with their ego pose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BevError
from bev_perception.geometry import CameraFrame, FrameSet, Rig, RigidTransform
from bev_perception.perception.synchronized_set import Frame, SynchronizedSet
from bev_perception.perception.synchronizer import Synchronizer

NANOSECONDS = 1_000_000_000

PointSource = Callable[[int], "NDArray[np.floating] | None"]
"""A stamp to (N, 3) metres in base_link at that time, None where there is no cloud near it."""

Levelling = Callable[
    [int, "RigidTransform | None"], "tuple[RigidTransform | None, RigidTransform | None]"
]
"""As ImuLevelling.at: stamp and pose of a set to its pose and, without one, its attitude."""


class FrameSource(Protocol):
    """Where images come from, for example a bags.BagReader."""

    def rig(self) -> Rig:
        """All cameras with their calibration."""
        ...

    def camera_frames(self, names: Sequence[str] | None = None) -> Iterator[CameraFrame]:
        """Images of the named cameras (default all) in the order of their arrival."""
        ...

    def world_T_base(self, stamp_ns: int) -> RigidTransform | None:
        """Ego pose in a gravity-aligned frame at that time, None when not known."""
        ...

    def world_frame(self, stamp_ns: int) -> str:
        """Name of that frame; "" when the pose is not known."""
        ...


def frame_sets(
    source: FrameSource,
    synchronizer: Synchronizer[CameraFrame] | None = None,
    frames: Iterable[CameraFrame] | None = None,
    points: PointSource | None = None,
    levelling: Levelling | None = None,
) -> Iterator[FrameSet]:
    """Synchronised sets of a source, in order, with world_T_base and its frame filled in.

    Args:
        source: images and poses.
        synchronizer: default one over all cameras of the source's rig. Its statistics tell
            afterwards what was dropped.
        frames: the source's images, if not all of them; default those of the synchroniser's
            cameras.
        points: asked for the point cloud of every set, where the network takes one.
        levelling: asked for the attitude of every set, where an IMU may tell it.

    Raises:
        BevError: no frames at all, or two or more cameras have frames and no two of them
            ever fell into one set; known when the source ends.
    """
    synchronizer = synchronizer or Synchronizer(source.rig().names)
    if frames is None:
        frames = source.camera_frames(synchronizer.cameras)
    for found in synchronized_sets(frames, synchronizer):
        pose = source.world_T_base(found.stamp_ns)
        cloud = None if points is None else points(found.stamp_ns)
        level_T_base = None
        if levelling is not None:
            pose, level_T_base = levelling(found.stamp_ns, pose)
        frame = source.world_frame(found.stamp_ns)
        yield FrameSet(
            found.stamp_ns, found.frames, found.missing, pose, cloud, level_T_base, frame
        )


def synchronized_sets(
    frames: Iterable[Frame], synchronizer: Synchronizer[Frame]
) -> Iterator[SynchronizedSet[Frame]]:
    """Sets of all frames, in order, those that wait at the end included.

    Args:
        frames: CameraFrames, or what will become some, in the order of their arrival.
        synchronizer: over their cameras.

    Raises:
        BevError: as frame_sets.
    """
    met = False
    for frame in frames:
        for found in synchronizer.add(frame):
            met = met or len(found.frames) > 1
            yield found
    for found in synchronizer.flush():
        met = met or len(found.frames) > 1
        yield found
    if not met:
        _explain_no_sets(synchronizer)


def _explain_no_sets(synchronizer: Synchronizer[Frame]) -> None:
    ranges = synchronizer.statistics.stamp_ranges_ns
    if not ranges:
        raise BevError(
            f"no images of any camera: expected {', '.join(synchronizer.cameras)}; "
            f"check the image topics of the rig file"
        )
    if len(ranges) < 2 and synchronizer.min_cameras < 2:
        return
    spans = "; ".join(
        f"{name} {first / NANOSECONDS:.3f} to {last / NANOSECONDS:.3f} s"
        for name, (first, last) in ranges.items()
    )
    silent = [name for name in synchronizer.cameras if name not in ranges]
    raise BevError(
        f"no two cameras have images within {synchronizer.tolerance_ns / 1e6:g} ms of each "
        f"other; stamps: {spans}"
        + (f"; without images: {', '.join(silent)}" if silent else "")
        + "; check the clocks of the cameras or their drivers"
    )
