# SPDX-License-Identifier: Apache-2.0
"""Whether the images of one tick have one stamp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StampVerdict:
    """How the cameras' stamps lie to each other.

    Attributes:
        offsets_ns: of each camera against the first, the one met most often; 0 when equal.
        problem: why no sets can be made of them, empty when they can.
        warning: what the user should know, empty for nothing.
    """

    offsets_ns: Mapping[str, int]
    problem: str = ""
    warning: str = ""


def check_stamps(stamps_ns: Mapping[str, Sequence[int]], tolerance_ns: int) -> StampVerdict:
    """Compares the stamps of a few images of every camera; lost images do no harm.

    Args:
        stamps_ns: stamps of each camera's images, at least one each.
        tolerance_ns: largest difference within a set that perception takes.
    """
    names = tuple(stamps_ns)
    anchor = np.asarray(stamps_ns[names[0]], dtype=np.int64)
    offsets = {name: _offset(anchor, np.asarray(stamps_ns[name], np.int64)) for name in names}
    apart = {name: offset for name, offset in offsets.items() if offset}
    if not apart:
        return StampVerdict(offsets)
    text = ", ".join(f"{name!r} by {offset / 1e6:+.3f} ms" for name, offset in apart.items())
    text = f"stamps differ from those of {names[0]!r}: {text}"
    if max(map(abs, apart.values())) > tolerance_ns:
        advice = (
            "the cameras deliver other ticks; run the simulator synchronously and give all "
            "cameras the same sensor_tick"
        )
        return StampVerdict(offsets, problem=f"{text}; {advice}")
    return StampVerdict(
        offsets,
        warning=f"{text}; within the tolerance of {tolerance_ns / 1e6:g} ms, so sets are made of "
        "them, but a fast scene is seen at several times; a common sensor_tick mends that",
    )


def _offset(anchor: np.ndarray, stamps: np.ndarray) -> int:
    """The difference to the nearest stamp of the anchor that is the usual one."""
    differences = stamps[:, None] - anchor[None, :]
    nearest = differences[np.arange(len(stamps)), np.abs(differences).argmin(axis=1)]
    if 2 * np.count_nonzero(nearest == 0) >= len(nearest):
        return 0
    return int(np.median(nearest))
