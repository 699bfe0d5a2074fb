# SPDX-License-Identifier: Apache-2.0
"""The ego pose at the stamp of a set, which TF may only tell a little later."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.bags.vehicle_frames import WORLD_FRAMES
from bev_perception.errors import TransformError
from bev_perception.geometry import RigidTransform, TransformTree

NANOSECONDS = 1_000_000_000
MAX_AGE_NS = NANOSECONDS
"""A pose whose motion is older than this is not used, and its frame not waited for."""
MAX_CORRECTION_AGE_NS = 3 * NANOSECONDS
"""From then on a localisation counts as dead: to change the frame costs tracks and memory, so it
may miss a beat or two first."""
MISSED_BEATS = 3


@dataclass(frozen=True)
class EgoPose:
    """An answer.

    Attributes:
        world_T_base: the newest that is known up to the stamp, None where none is.
        world_frame: frame of the pose.
        age_ns: how much older than the stamp the oldest part of the pose is, nanoseconds; 0 when
            it is exact.
        motion_age_ns: the same of the vehicle's motion alone: a late correction between frames
            at rest, such as ``map_T_odom``, moves no vehicle.
        local_T_base: the motion alone, in the frame at rest next to the vehicle (odom, where
            there is one): without the jumps of corrections.
        local_frame: that frame.
        late_ns: how much older than the stamp what should have come is, nanoseconds: the motion, or
            a correction that has missed three of its beats.
        is_final: whether waiting cannot make it better, or not soon enough.
    """

    world_T_base: RigidTransform | None = None
    world_frame: str = ""
    age_ns: int = 0
    motion_age_ns: int = 0
    local_T_base: RigidTransform | None = None
    local_frame: str = ""
    late_ns: int = 0
    is_final: bool = True

    def motion_to(self, later: EgoPose) -> RigidTransform | None:
        """Takes points at rest from the vehicle frame at this pose's stamp to it at another's.

        None where one of the two is not exact: the difference to an older pose is a motion that
        has not happened. Two poses with an exact correction give what a bag's reader gives.
        """
        if self.world_T_base is None or later.world_T_base is None:
            return None
        if self.world_frame == later.world_frame and self.age_ns == later.age_ns == 0:
            return later.world_T_base.inverse() @ self.world_T_base
        if self.local_T_base is None or later.local_T_base is None:
            return None
        if self.local_frame == later.local_frame and self.motion_age_ns == later.motion_age_ns == 0:
            return later.local_T_base.inverse() @ self.local_T_base
        return None


NO_POSE = EgoPose()


class EgoPoses:
    """Looks the ego pose up.

    Between world and vehicle there may be another frame at rest (map -> odom -> base_link). What
    lies beyond it corrects the vehicle's place seldom and a little; its newest value will do. So
    odometry that is exact at a stamp is not given up for a localisation that is slower.

    Args:
        tree: fed from /tf and /tf_static.
        base_frame: of the vehicle.
        world_frame: the frame at rest to use; empty for the first of WORLD_FRAMES that is
            connected and alive.
        patience_ns: a late correction is waited for where it is no older than this and its
            samples no further apart, nanoseconds.
    """

    def __init__(
        self, tree: TransformTree, base_frame: str, world_frame: str = "", patience_ns: int = 0
    ) -> None:
        self._tree = tree
        self._base_frame = base_frame
        self._frames = (world_frame.lstrip("/"),) if world_frame else WORLD_FRAMES
        self._patience_ns = patience_ns

    def at(self, stamp_ns: int) -> EgoPose:
        """The pose at a stamp, or by the newest before it that is not too old.

        A frame has died whose newest motion is older than MAX_AGE_NS, or whose newest correction
        is older than MAX_CORRECTION_AGE_NS (a localisation that crashed); then the next is asked.
        """
        known = self._tree.frames
        for frame in self._frames:
            if frame == self._base_frame or frame not in known:
                continue
            try:
                pose = self._in(frame, stamp_ns)
            except TransformError:
                continue
            if pose.motion_age_ns <= MAX_AGE_NS and pose.age_ns <= MAX_CORRECTION_AGE_NS:
                return pose
        return NO_POSE

    def _in(self, frame: str, stamp_ns: int) -> EgoPose:
        """The pose in a frame, however old."""
        tree, base = self._tree, self._base_frame
        local = next(name for name in tree.path(frame, base) if name == frame or _is_at_rest(name))
        motion_age_ns = self._age_ns(local, base, stamp_ns)
        correction_age_ns = self._age_ns(frame, local, stamp_ns)
        period_ns = tree.period_ns(frame, local)
        is_awaited = 0 < correction_age_ns <= self._patience_ns and period_ns <= self._patience_ns
        has_stopped = correction_age_ns > MISSED_BEATS * period_ns
        return EgoPose(
            tree.lookup_newest(frame, base, stamp_ns),
            frame,
            max(motion_age_ns, correction_age_ns),
            motion_age_ns,
            tree.lookup_newest(local, base, stamp_ns),
            local,
            max(motion_age_ns, correction_age_ns if has_stopped else 0),
            is_final=motion_age_ns == 0 and not is_awaited,
        )

    def _age_ns(self, target: str, source: str, stamp_ns: int) -> int:
        latest_ns = self._tree.latest_ns(target, source)
        return 0 if latest_ns is None else max(0, stamp_ns - latest_ns)


def _is_at_rest(frame: str) -> bool:
    return frame.rsplit("/", 1)[-1] in WORLD_FRAMES
