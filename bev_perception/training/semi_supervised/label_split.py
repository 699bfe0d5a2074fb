# SPDX-License-Identifier: Apache-2.0
"""Which drives keep their labels when only a share of them may."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def labelled_part(drives: Sequence[Path], fraction: float, seed: int) -> list[Path]:
    """A share of the drives, in their order; at least one.

    Whole drives, because neighbouring moments of one drive are nearly the same. With one
    seed, a larger fraction holds all of a smaller one.

    Args:
        drives: all.
        fraction: of them, more than 0 up to 1.
        seed: decides which.
    """
    count = max(1, round(fraction * len(drives)))
    order = np.random.default_rng(seed).permutation(len(drives))
    return [drives[index] for index in sorted(order[:count])]
