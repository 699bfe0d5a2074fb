# SPDX-License-Identifier: Apache-2.0
"""Static transforms that do not stay: which value /tf_static told of a frame, and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SAME_M, SAME_RADIANS = 0.001, 0.0005
"""Senders that round differently differ by less; on the ground 25 m ahead that is 0.2 m."""


def is_other_place(values: ArrayLike, reference: ArrayLike) -> NDArray[np.bool_]:
    """Which transforms differ from a reference by more than rounding does.

    Args:
        values: (N, 7): x, y, z in metres and the quaternion x, y, z, w, of either sign.
        reference: (7,), likewise.

    Returns:
        (N,).
    """
    told, expected = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    shift = np.linalg.norm(told[:, :3] - expected[:3], axis=1)
    turns = told[:, 3:] / np.linalg.norm(told[:, 3:], axis=1, keepdims=True)
    turn = expected[3:] / np.linalg.norm(expected[3:])
    chord = np.minimum(
        np.linalg.norm(turns - turn, axis=1), np.linalg.norm(turns + turn, axis=1)
    )  # of half the angle
    return np.asarray((shift > SAME_M) | (2.0 * chord > SAME_RADIANS))


@dataclass(frozen=True)
class StaticChange:
    """A frame that /tf_static places differently over time.

    Attributes:
        parent, child: the edge as it was told last, which is how it is used throughout.
        told: (time of recording in ns, whether what was told is what is used), in order; each
            holds until the next, and the first one before it, too.
    """

    parent: str
    child: str
    told: tuple[tuple[int, bool], ...]

    def holds_at(self, log_ns: int) -> bool:
        """Whether what is used is what was told at a time of recording."""
        known = [is_used for since, is_used in self.told if since <= log_ns]
        return known[-1] if known else self.told[0][1]

    def __str__(self) -> str:
        return (
            f"/tf_static tells {self.parent!r} -> {self.child!r} in different ways; the last one "
            f"is used throughout"
        )


class StaticHistory:
    """All that /tf_static tells, but for what is told again as it was."""

    def __init__(self) -> None:
        self._told: dict[str, list[tuple[int, str, tuple[float, ...]]]] = {}

    def add(self, log_ns: int, parent: str, child: str, numbers: tuple[float, ...]) -> None:
        """A valid transform: x, y, z and the quaternion x, y, z, w; in the order of recording."""
        told = self._told.setdefault(child.lstrip("/"), [])
        parent = parent.lstrip("/")
        if not told or told[-1][1:] != (parent, numbers):
            told.append((log_ns, parent, numbers))

    def changes(self) -> tuple[StaticChange, ...]:
        """Frames whose place does not stay."""
        found = []
        for child, told in self._told.items():
            _, parent, numbers = told[-1]
            is_other = is_other_place([each[2] for each in told], numbers)
            is_other |= np.array([each[1] != parent for each in told])
            if is_other.any():
                spans = tuple((each[0], not other) for each, other in zip(told, is_other.tolist()))
                found.append(StaticChange(parent, child, spans))
        return tuple(found)
