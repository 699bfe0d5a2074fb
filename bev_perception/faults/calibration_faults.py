# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with CameraInfo."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from bev_perception.faults.delivery import Delivery
from bev_perception.faults.fault import Choice, Effect

FOCAL_FACTOR = 1.1


def intrinsics_of(value: float) -> Callable[[Any], Any]:
    """k and p hold nothing but a value."""

    def edit(message: Any) -> Any:
        other = deepcopy(message)
        other.k, other.p = np.full(9, value), np.full(12, value)
        return other

    return edit


def scaled_focal_length(message: Any, factor: float = FOCAL_FACTOR) -> Any:
    """A focal length in k and p that is wrong by a factor."""
    other = deepcopy(message)
    k, p = np.array(message.k, dtype=np.float64), np.array(message.p, dtype=np.float64)
    k[[0, 4]] *= factor
    p[[0, 5]] *= factor
    other.k, other.p = k, p
    return other


def changing(choice: Choice) -> Effect:
    """Every message has another focal length, as with two publishers or an autofocus."""
    counters: dict[str, count[int]] = {}

    def change(delivery: Delivery) -> tuple[Delivery]:
        turn = next(counters.setdefault(delivery.camera, count(1))) % 2
        factor = FOCAL_FACTOR if turn else 1.0
        return (replace(delivery, message=scaled_focal_length(delivery.message, factor)),)

    return change
