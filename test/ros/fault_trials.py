# SPDX-License-Identifier: Apache-2.0
"""Every fault, what a node is expected to say of it, and one trial of it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from fault_observer import LASTING, FaultObserver
from faulty_drivers import FaultyDrivers
from ros_processes import wait_for

from bev_perception.faults import ALL as EVERYTHING
from bev_perception.faults import FAULTS, Choice, Injection
from bev_perception.faults.calls import FAILURE, HANG, ONCE, OUT_OF_MEMORY, CallOrders
from bev_perception.faults.catalog import LATE_NS

HELD_S, WATCHED_S = 2.2, 2.5
"""How long a fault lasts, and how long the node is watched when it is over."""

CLEARING_S = 0.2
"""Diagnostics turn well with the next look after the second."""

ALL, OTHERS, NOTHING = "all cameras", "the other cameras", "nothing"


@dataclass(frozen=True)
class Trial:
    """One fault.

    Attributes:
        name: in FAULTS, or an order to the engine.
        text: what happens, for the table.
        part: of the node that names it.
        says: regular expression of its message.
        meanwhile: what is published: ALL, OTHERS or NOTHING.
        choice: what is hit.
        is_order: whether the engine obeys it, instead of the drivers' messages.
        sim_time: whether the node follows /clock.
        trailing_s: for how long after the fault its messages still arrive.
    """

    name: str
    text: str
    part: str
    says: str
    meanwhile: str
    choice: Choice = EVERYTHING
    is_order: bool = False
    sim_time: bool = False
    trailing_s: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What a trial came to; None where something did not happen.

    Attributes:
        trial: that was made.
        named_ms: from the begin of the fault to the diagnostics that name it.
        level, message: of these.
        rate_hz: of the grids that came meanwhile, once it was named.
        with_fewer: share of them with more unknown cells than usual.
        oldest_s: their greatest age.
        back_ms: from the end of the fault to the first grid of all cameras.
        clear_ms: from the end of the fault, its last message included, to diagnostics that are
            well.
    """

    trial: Trial
    named_ms: float | None
    level: int
    message: str
    rate_hz: float
    with_fewer: float
    oldest_s: float
    back_ms: float | None
    clear_ms: float | None


_LATE_S = LATE_NS / 1e9


def _camera(
    name: str, camera: str, says: str, meanwhile: str = OTHERS, trailing_s: float = 0.0
) -> Trial:
    part, choice = f"camera {camera}", Choice(cameras=(camera,))
    text = FAULTS[name].text
    return Trial(name, text, part, says, meanwhile, choice, trailing_s=trailing_s)


_BASE = Choice(frames=("base_link",))
_REAR_FRAME = Choice(frames=("rear_optical_frame",))

MESSAGE_TRIALS: tuple[Trial, ...] = (
    _camera("dead", "rear", r"stopped 0\.\d s ago"),
    _camera("late", "left", r"stopped|dropped as late", trailing_s=_LATE_S),
    _camera("frozen", "right", "same to the last bit", ALL),
    _camera("black", "front", "image is black"),
    _camera("white", "rear", r"one colour all over \(RGB 255, 255, 255\)"),
    _camera("noisy", "left", "images are noise", ALL),
    _camera("truncated", "right", "the message is damaged"),
    _camera("wrong_encoding", "front", "64FC4"),
    _camera("wrong_size", "rear", "image is 96x32 but its CameraInfo says 96x64"),
    _camera("wrong_stride", "left", "the message is damaged"),
    _camera("huge", "right", "image is 1344x896 but its CameraInfo says 96x64"),
    _camera("claims_huge", "front", "the message is damaged"),
    _camera("zero_sized", "rear", "the message is damaged"),
    _camera("stamps_future", "left", "ahead of the other cameras"),
    _camera("stamps_past", "right", r"behind the other cameras|dropped as late"),
    _camera("stamps_standing", "front", "dropped as duplicate"),
    _camera("stamps_backward", "rear", "dropped as (out of order|late)"),
    _camera("info_nan", "left", "going on with the CameraInfo before it", ALL),
    _camera("info_zero", "right", r"k\[0\] = 0.*going on with the CameraInfo before it", ALL),
    _camera("info_changing", "front", "has changed .* times within", ALL),
    Trial("tf_missing", "the ego pose is not sent", "transforms", "older than|no pose", ALL, _BASE),
    Trial("tf_late", "the ego pose comes 1 s late", "transforms", "older than", ALL, _BASE,
          trailing_s=_LATE_S),
    Trial("tf_contradictory", "two publishers disagree on the ego pose", "transforms",
          "two publishers disagree", ALL, _BASE),
    Trial("tf_nan", "NaN in the ego pose's quaternion", "transforms", "quaternion", ALL, _BASE),
    Trial("tf_contradictory", "two publishers disagree on a camera's mounting", "transforms",
          "two publishers disagree", ALL, _REAR_FRAME),
    Trial("tf_nan", "NaN in a camera's mounting", "transforms", "quaternion", ALL, _REAR_FRAME),
    Trial("dead", "all cameras dead at once", "camera front", r"stopped 0\.\d s ago", NOTHING),
)  # fmt: skip

ENGINE_TRIALS: tuple[Trial, ...] = (
    Trial(ONCE + FAILURE, "the network fails once", "engine", "injected failure", ALL,
          is_order=True),
    Trial(FAILURE, "the network fails always", "engine", "injected failure", NOTHING,
          is_order=True),
    Trial(HANG, "the network hangs", "engine", "hangs", NOTHING, is_order=True),
    Trial(ONCE + OUT_OF_MEMORY, "memory is short once", "engine", "memory was short", ALL,
          is_order=True),
    Trial(OUT_OF_MEMORY, "no memory at all", "engine", "too little memory", NOTHING,
          is_order=True),
)  # fmt: skip

CLOCK_TRIALS: tuple[Trial, ...] = (
    Trial("clock_back", "/clock jumps back by 10 s, then ahead", "clock", "jumped back by",
          ALL, sim_time=True),
    Trial("clock_forward", "/clock jumps ahead by 10 s, then back", "clock", "jumped ahead by",
          ALL, sim_time=True),
    Trial("clock_standing", "/clock stands still", "clock", "stands still", ALL, sim_time=True),
)  # fmt: skip


def run_trial(
    trial: Trial, drivers: FaultyDrivers, observer: FaultObserver, orders: CallOrders
) -> Outcome:
    """Makes the fault, ends it, and looks at what the node did."""
    wait_for(observer.is_settled, what=lambda: f"a healthy node: {observer.reports[-1:]}")
    began_s = time.monotonic()
    _begin(trial, drivers, orders)
    time.sleep(HELD_S)
    ended_s = time.monotonic()
    _end(drivers, orders)
    time.sleep(WATCHED_S)
    return judged(trial, observer, began_s, ended_s)


def judged(trial: Trial, observer: FaultObserver, began_s: float, ended_s: float) -> Outcome:
    """The outcome of what an observer has heard, times steady seconds."""
    named = next(
        (
            (at_s, *report[trial.part])
            for at_s, report in list(observer.reports)
            if at_s >= began_s
            and report[trial.part][0] > 0
            and re.search(trial.says, report[trial.part][1])
        ),
        None,
    )
    usual, grids = observer.usual_unknown, list(observer.grids)
    named_s = named[0] if named else began_s
    meanwhile = [grid for grid in grids if max(named_s, began_s + 1.0) < grid.at_s <= ended_s]
    span_s = ended_s - max(named_s, began_s + 1.0)
    back_s = next(
        (grid.at_s for grid in grids if grid.at_s > ended_s and grid.unknown == usual), None
    )
    over_s = ended_s + trial.trailing_s
    clear_s = next(
        (
            at_s
            for at_s, report in list(observer.reports)
            if at_s > over_s and (report[trial.part][0] == 0 or LASTING in report[trial.part][1])
        ),
        None,
    )
    return Outcome(
        trial=trial,
        named_ms=_ms(named[0] if named else None, began_s),
        level=named[1] if named else 0,
        message=named[2] if named else "",
        rate_hz=len(meanwhile) / span_s if span_s > 0 else 0.0,
        with_fewer=sum(grid.unknown > usual for grid in meanwhile) / max(1, len(meanwhile)),
        oldest_s=max((grid.age_s for grid in meanwhile), default=0.0),
        back_ms=_ms(back_s, ended_s),
        clear_ms=_ms(clear_s, over_s),
    )


def _begin(trial: Trial, drivers: FaultyDrivers, orders: CallOrders) -> None:
    if trial.is_order:
        orders.give(trial.name)
    else:
        drivers.inject(Injection(FAULTS[trial.name], trial.choice))


def _end(drivers: FaultyDrivers, orders: CallOrders) -> None:
    orders.revoke()
    drivers.inject()


def _ms(at_s: Any, since_s: float) -> float | None:
    return None if at_s is None else 1e3 * (at_s - since_s)


def problems(outcome: Outcome, within_s: float = 1.0) -> list[str]:
    """What an outcome lacks of what is promised; empty where all is kept.

    Args:
        outcome: of a trial.
        within_s: for naming the fault, and for being back.
    """
    found, expected = [], outcome.trial.meanwhile
    for what, value in (("named", outcome.named_ms), ("back", outcome.back_ms)):
        if value is None or value > 1e3 * within_s:
            found.append(f"{what} after {value} ms")
    if outcome.clear_ms is None or outcome.clear_ms > 1e3 * (within_s + CLEARING_S):
        found.append(f"diagnostics well after {outcome.clear_ms} ms")
    if (outcome.rate_hz == 0.0) != (expected == NOTHING):
        found.append(f"{outcome.rate_hz:.1f} grids per second, expected {expected}")
    if outcome.with_fewer > 0.5 and expected == ALL:
        found.append(f"{100 * outcome.with_fewer:.0f} % of the grids lack a camera")
    if outcome.oldest_s > within_s:
        found.append(f"a grid was {outcome.oldest_s:.1f} s old")
    return found
