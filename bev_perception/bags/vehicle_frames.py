# SPDX-License-Identifier: Apache-2.0
"""How the frames of a bag lie around the vehicle over time."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.errors import BagError, TransformError
from bev_perception.geometry import RigidTransform, TransformTree
from bev_perception.geometry.transform_tree import OutOfRangeError

BASE_FRAMES = ("base_link", "ego_vehicle", "base_footprint")
"""Conventional names of the vehicle frame, best first."""

WORLD_FRAMES = ("map", "odom", "world")
"""Conventional names of gravity-aligned world frames, best first."""


@dataclass(frozen=True)
class VehicleFrames:
    """Transforms from and to the vehicle frame.

    Attributes:
        tree: all transforms.
        base_frame: name of the vehicle frame.
        world_frames: names of gravity-aligned frames at rest, best first.
    """

    tree: TransformTree
    base_frame: str
    world_frames: tuple[str, ...] = WORLD_FRAMES

    def world_T_base(self, stamp_ns: int) -> RigidTransform | None:
        """Ego pose in the first of world_frames that connects at that time, else None."""
        return self._found(stamp_ns)[1]

    def world_frame(self, stamp_ns: int) -> str:
        """Which frame that is, else ""."""
        return self._found(stamp_ns)[0]

    def base_T_frame(self, frame: str, stamp_ns: int, topic: str) -> RigidTransform:
        """Takes points of a topic's frame to the vehicle frame.

        Raises:
            OutOfRangeError: TF does not reach that time.
            BagError: TF does not connect the two.
        """
        if frame == self.base_frame:
            return RigidTransform.identity()
        try:
            return self.tree.lookup(self.base_frame, frame, stamp_ns)
        except OutOfRangeError:
            raise
        except TransformError as error:
            raise BagError(
                f"{topic}: no transform from its frame {frame!r} to the vehicle frame "
                f"{self.base_frame!r}: {error}; record /tf and /tf_static with it"
            ) from error

    def ego_motion(self, from_ns: int, to_ns: int) -> RigidTransform:
        """Takes points at rest from the vehicle frame at one time to it at another.

        The identity where no world frame connects at both times.
        """
        if from_ns == to_ns:
            return RigidTransform.identity()
        for frame in self.world_frames:
            before, after = self.pose_in(frame, from_ns), self.pose_in(frame, to_ns)
            if before is not None and after is not None:
                return after.inverse() @ before
        return RigidTransform.identity()

    def _found(self, stamp_ns: int) -> tuple[str, RigidTransform | None]:
        poses = ((frame, self.pose_in(frame, stamp_ns)) for frame in self.world_frames)
        return next((found for found in poses if found[1] is not None), ("", None))

    def pose_in(self, world_frame: str, stamp_ns: int) -> RigidTransform | None:
        """Ego pose in a frame, None where TF does not connect it at that time."""
        if world_frame not in self.tree.frames or world_frame == self.base_frame:
            return None
        try:
            return self.tree.lookup(world_frame, self.base_frame, stamp_ns)
        except TransformError:
            return None


def find_base_frame(tree: TransformTree) -> str:
    """The vehicle frame by convention, or a frame that others are named under (``hero/...``).

    A bag without any transform gets the conventional name. Where one frame alone moves in a
    world frame, it is the vehicle's, as in outputs of a vehicle whose frame a rig file names.

    Raises:
        BagError: no frame of TF looks like one.
    """
    frames = tree.frames
    if not frames:
        return BASE_FRAMES[0]
    for frame in BASE_FRAMES:
        if frame in frames:
            return frame
    prefixes = {frame.split("/")[0] for frame in frames if "/" in frame}
    roles = sorted((prefixes & frames) - set(WORLD_FRAMES))
    if len(roles) == 1:
        return roles[0]
    others = sorted(frames - set(WORLD_FRAMES))
    if len(others) == 1:
        return others[0]
    raise BagError(
        f"no vehicle frame in TF: expected {', '.join(BASE_FRAMES)}; its frames are "
        f"{', '.join(sorted(frames))}; name the one to use as base_frame in a rig file"
    )
