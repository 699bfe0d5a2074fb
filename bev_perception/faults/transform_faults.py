# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with TF."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from bev_perception.faults.delivery import Delivery
from bev_perception.faults.fault import Choice, Effect

CONTRADICTION_M = 3.0


def missing(choice: Choice) -> Effect:
    """The transforms are not sent."""

    def drop(delivery: Delivery) -> tuple[Delivery, ...]:
        message = deepcopy(delivery.message)
        message.transforms = [
            entry for entry in message.transforms if not _is_chosen(entry, choice)
        ]
        return (replace(delivery, message=message),) if message.transforms else ()

    return drop


def contradictory(choice: Choice) -> Effect:
    """A second publisher tells the same transforms CONTRADICTION_M apart."""

    def join(delivery: Delivery) -> tuple[Delivery, ...]:
        other = deepcopy(delivery.message)
        other.transforms = [entry for entry in other.transforms if _is_chosen(entry, choice)]
        for entry in other.transforms:
            entry.transform.translation.x += CONTRADICTION_M
        joined = replace(delivery, message=other)
        return (delivery, joined) if other.transforms else (delivery,)

    return join


def edited(edit: Callable[[Any], None]) -> Callable[[Choice], Effect]:
    """Each chosen TransformStamped is changed in place, in a copy of the message."""

    def make(choice: Choice) -> Effect:
        def change(delivery: Delivery) -> tuple[Delivery]:
            message = deepcopy(delivery.message)
            for entry in message.transforms:
                if _is_chosen(entry, choice):
                    edit(entry)
            return (replace(delivery, message=message),)

        return change

    return make


def with_nan_quaternion(entry: Any) -> None:
    """A rotation that is none."""
    for axis in "xyzw":
        setattr(entry.transform.rotation, axis, math.nan)


def _is_chosen(entry: Any, choice: Choice) -> bool:
    return not choice.frames or entry.child_frame_id.lstrip("/") in choice.frames
