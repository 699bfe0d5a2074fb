# SPDX-License-Identifier: Apache-2.0
"""What keeps its labels when only a share may."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELLED_UNITS = ("drive", "set")
"""What has labels or has none as a whole: drives, or camera sets wherever they are."""

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


def labelled_part(drives: Sequence[Path], fraction: float, seed: int) -> list[Path]:
    """A share of the drives, in their order; at least one.

    With one seed, a larger fraction holds all of a smaller one.

    Args:
        drives: all.
        fraction: of them, more than 0 up to 1.
        seed: decides which.
    """
    count = max(1, round(fraction * len(drives)))
    order = np.random.default_rng(seed).permutation(len(drives))
    return [drives[index] for index in sorted(order[:count])]


def labelled_sets(num_sets: int, fraction: float, seed: int) -> NDArray[np.int64]:
    """A share of the camera sets of all drives, evenly far apart; at least one.

    Neighbouring moments of a drive are nearly the same, so those that are far apart teach most.
    With one seed, a larger fraction holds all of a smaller one: set i has the place i times the
    golden ratio, modulo 1, on a circle, and those of one arc are taken. From one of them to the
    next there are then at most three distances (three-gap theorem, Slater 1967).

    Args:
        num_sets: of all drives, one after the other.
        fraction: of them, more than 0 up to 1.
        seed: decides which.

    Returns:
        (K,) indices in increasing order.
    """
    count = min(num_sets, max(1, round(fraction * num_sets)))
    start = np.random.default_rng(seed).random()
    places = np.mod(start + _GOLDEN * np.arange(num_sets), 1.0)
    return np.sort(np.argsort(places, kind="stable")[:count])
