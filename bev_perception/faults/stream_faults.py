# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with when images come and with what they are stamped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bev_perception.bags.headers import stamp_ns
from bev_perception.faults.delivery import Delivery
from bev_perception.faults.fault import Choice, Effect
from bev_perception.faults.message_edits import restamped

MILLISECOND, SECOND = 1_000_000, 1_000_000_000


def lost(choice: Choice) -> Effect:
    """Nothing arrives."""
    return lambda delivery: ()


def delayed(delay_ns: int) -> Callable[[Choice], Effect]:
    """Everything arrives later; stamps stay."""
    return lambda choice: lambda delivery: (replace(delivery, time_ns=delivery.time_ns + delay_ns),)


def shifted(offset_ns: int) -> Callable[[Choice], Effect]:
    """A camera's clock is off."""

    def make(choice: Choice) -> Effect:
        def shift(delivery: Delivery) -> tuple[Delivery]:
            shifted_ns = stamp_ns(delivery.message.header) + offset_ns
            return (replace(delivery, message=restamped(delivery.message, shifted_ns)),)

        return shift

    return make


def standing_stamps(choice: Choice) -> Effect:
    """Every image bears the stamp of its camera's first one."""
    first: dict[str, int] = {}

    def stand(delivery: Delivery) -> tuple[Delivery]:
        own_ns = stamp_ns(delivery.message.header)
        kept_ns = first.setdefault(delivery.camera, own_ns)
        return (replace(delivery, message=restamped(delivery.message, kept_ns)),)

    return stand


def backward_stamps(choice: Choice) -> Effect:
    """Every second image of a camera bears a stamp from before the image in front of it."""
    before: dict[str, tuple[int, bool]] = {}

    def turn(delivery: Delivery) -> tuple[Delivery]:
        own_ns = stamp_ns(delivery.message.header)
        last_ns, turns = before.get(delivery.camera, (own_ns, False))
        before[delivery.camera] = own_ns, not turns
        told_ns = last_ns - MILLISECOND if turns else own_ns
        return (replace(delivery, message=restamped(delivery.message, told_ns)),)

    return turn
