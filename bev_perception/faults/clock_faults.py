# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with /clock."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from bev_perception.bags.headers import NANOSECONDS
from bev_perception.faults.delivery import Delivery
from bev_perception.faults.fault import Choice, Effect


def jumped(offset_ns: int) -> Callable[[Choice], Effect]:
    """The time is another one for as long as the fault lasts; it jumps twice."""

    def make(choice: Choice) -> Effect:
        def jump(delivery: Delivery) -> tuple[Delivery]:
            clock_ns = _time_ns(delivery.message) + offset_ns
            return (replace(delivery, message=_clock(delivery.message, clock_ns)),)

        return jump

    return make


def standing(choice: Choice) -> Effect:
    """The time does not change."""
    first: list[int] = []

    def stand(delivery: Delivery) -> tuple[Delivery]:
        if not first:
            first.append(_time_ns(delivery.message))
        return (replace(delivery, message=_clock(delivery.message, first[0])),)

    return stand


def _time_ns(message: Any) -> int:
    return int(message.clock.sec) * NANOSECONDS + int(message.clock.nanosec)


def _clock(message: Any, time_ns: int) -> Any:
    other = deepcopy(message)
    other.clock.sec, other.clock.nanosec = divmod(max(0, time_ns), NANOSECONDS)
    return other
