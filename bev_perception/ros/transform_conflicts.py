# SPDX-License-Identifier: Apache-2.0
"""Transforms that cannot both be true: two publishers of one frame who disagree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bev_perception.ros.stamps import stamp_ns

SAME_M, SAME_PART = 0.02, 0.005
"""Positions and quaternion parts that differ by less are the same but for rounding."""

FASTEST_M_PER_S = 100.0
"""What would have to move faster has not moved: somebody else told of it."""

_LEAST_JUMP_M = 1.0

_MOST = 10_000
"""Frames that are remembered."""


@dataclass(frozen=True)
class _Told:
    parent: str
    stamp_ns: int
    place: tuple[float, float, float]
    turn: tuple[float, float, float, float]


class TransformConflicts:
    """Remembers the newest transform of every frame; some microseconds for each that comes."""

    def __init__(self) -> None:
        self._newest: dict[tuple[bool, str], _Told] = {}

    def forget_moving(self) -> None:
        """The clock was set back."""
        self._newest = {key: told for key, told in self._newest.items() if key[0]}

    def look(self, transforms: Iterable[Any], static: bool) -> str:
        """What contradicts what was told before, in words; empty where nothing does.

        Args:
            transforms: TransformStamped of one message.
            static: whether it came on /tf_static.
        """
        problem = ""
        for entry in transforms:
            place, turn = entry.transform.translation, entry.transform.rotation
            told = _Told(
                entry.header.frame_id,
                stamp_ns(entry.header.stamp),
                (place.x, place.y, place.z),
                (turn.x, turn.y, turn.z, turn.w),
            )
            key = static, entry.child_frame_id
            before = self._newest.get(key)
            if before is None and len(self._newest) >= _MOST:
                continue  # somebody invents frames
            self._newest[key] = told
            if before is not None and before != told:
                problem = _conflict(before, told, entry.child_frame_id, static) or problem
        return problem


def _conflict(before: _Told, now: _Told, child: str, static: bool) -> str:
    topic = "/tf_static" if static else "/tf"
    if before.parent != now.parent:
        return (
            f"{topic} tells {child!r} below {before.parent!r} and below {now.parent!r}; a frame "
            f"has one parent: end one of the publishers"
        )
    apart_m = math.dist(before.place, now.place)
    turned = min(math.dist(before.turn, now.turn), math.dist(before.turn, _negative(now.turn)))
    if apart_m < SAME_M and turned < SAME_PART:
        return ""
    passed_s = abs(now.stamp_ns - before.stamp_ns) / 1e9
    is_too_fast = apart_m > max(_LEAST_JUMP_M, FASTEST_M_PER_S * passed_s)
    if static or not passed_s or is_too_fast:
        when = "" if static else f" within {1e3 * passed_s:.0f} ms"
        return (
            f"{topic} tells {now.parent!r} -> {child!r} twice{when}, {apart_m:.2f} m apart; two "
            f"publishers disagree: end one of them"
        )
    return ""


def _negative(turn: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The same rotation."""
    return (-turn[0], -turn[1], -turn[2], -turn[3])
