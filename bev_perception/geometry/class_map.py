# SPDX-License-Identifier: Apache-2.0
"""What a network that tells classes apart says of every cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ClassMap:
    """Which class every cell is likely of.

    Attributes:
        probability: (K, num_y, num_x) in 0..1.
        classes: groups of geometry.class_sets, one per channel.
    """

    probability: NDArray[np.float32]
    classes: Sequence[str]
