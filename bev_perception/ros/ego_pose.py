# SPDX-License-Identifier: Apache-2.0
"""The ego pose at the stamp of a set, which TF may only tell a little later."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.bags.vehicle_frames import WORLD_FRAMES
from bev_perception.errors import TransformError
from bev_perception.geometry import RigidTransform, TransformTree

NANOSECONDS = 1_000_000_000
MAX_AGE_NS = NANOSECONDS
"""A pose older than this is not used, and its frame not waited for."""


@dataclass(frozen=True)
class EgoPose:
    """An answer.

    Attributes:
        world_T_base: the newest that is known up to the stamp, None where none is.
        world_frame: frame of the pose.
        age_ns: how much older than the stamp the pose is, nanoseconds; 0 when it is exact.
    """

    world_T_base: RigidTransform | None = None
    world_frame: str = ""
    age_ns: int = 0

    @property
    def is_final(self) -> bool:
        """Whether waiting cannot make it better."""
        return self.age_ns == 0


NO_POSE = EgoPose()


class EgoPoses:
    """Looks the ego pose up.

    Args:
        tree: fed from /tf and /tf_static.
        base_frame: of the vehicle.
        world_frame: the frame at rest to use; empty for the first of WORLD_FRAMES that is
            connected and alive.
    """

    def __init__(self, tree: TransformTree, base_frame: str, world_frame: str = "") -> None:
        self._tree = tree
        self._base_frame = base_frame
        self._frames = (world_frame.lstrip("/"),) if world_frame else WORLD_FRAMES

    def at(self, stamp_ns: int) -> EgoPose:
        """The pose at a stamp, or the newest before it that is not older than MAX_AGE_NS.

        A frame whose newest pose is older has died (a localisation that crashed); then the
        next frame is asked.
        """
        known = self._tree.frames
        for frame in self._frames:
            if frame == self._base_frame or frame not in known:
                continue
            try:
                latest_ns = self._tree.latest_ns(frame, self._base_frame)
                age_ns = 0 if latest_ns is None else max(0, stamp_ns - latest_ns)
                if age_ns > MAX_AGE_NS:
                    continue
                pose = self._tree.lookup(frame, self._base_frame, stamp_ns - age_ns)
            except TransformError:
                continue
            return EgoPose(pose, frame, age_ns)
        return NO_POSE
