# SPDX-License-Identifier: Apache-2.0
"""Do the cameras' images fall into sets, as perception puts them together?"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import Observation
from bev_perception.perception.synchronized_set import SynchronizedSet
from bev_perception.perception.synchronizer import Synchronizer

LARGE_DELAY_MS = 20.0
"""A camera that usually lags behind its set by more than this is told."""

_SOME_SHARE, _MOST_SHARE = 0.05, 0.5
_FEWEST_SETS = 2


class _Moment(NamedTuple):
    camera: str
    stamp_ns: int


def check_sets(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Sets with all cameras, and cameras that lag."""
    names = [name for name, track in seen.cameras.items() if len(track.stamps_ns)]
    if len(names) < 2 or so_far.has_error("stamps", "offset", "rate"):
        return
    synchronizer: Synchronizer[_Moment] = Synchronizer(names)
    sets: list[SynchronizedSet[_Moment]] = []
    for moment in _arrivals(seen, names):
        sets += synchronizer.add(moment)
    sets += synchronizer.flush()
    if len(sets) < _FEWEST_SETS and len(sets) == synchronizer.statistics.complete_sets:
        yield from _lags({name: [_lag_ms(each, name) for each in sets] for name in names})
        return
    shared = [each for each in sets if len(each.frames) > len(names) / 2] or sets
    missing = Counter(name for each in shared for name in each.missing)
    known = so_far.has_error() or any(
        entry.check in ("rate", "gaps", "encoding", "stamps", "clock") for entry in so_far.entries
    )
    for name, count in missing.items():
        share = count / len(shared)
        if share < _SOME_SHARE or (known and share < _MOST_SHARE):
            continue
        yield Finding(
            "sets",
            Severity.ERROR if share > _MOST_SHARE else Severity.WARNING,
            f"{count} of {len(shared)} sets lack this camera: its images are not within "
            f"{synchronizer.tolerance_ns / 1e6:g} ms of the others'",
            camera=name,
            expected="all cameras in every set",
            cause="a camera that is triggered at another time, an offset between clocks, or images "
            "that get lost",
            fix="trigger the cameras together, mend the clock, or raise sync_tolerance_ms",
        )
    lags = {name: [_lag_ms(each, name) for each in sets if name in each.frames] for name in names}
    yield from _lags(lags)


def _lags(lags: dict[str, list[float]]) -> Iterator[Finding]:
    usual = {name: sorted(values)[len(values) // 2] for name, values in lags.items() if values}
    late = {name: lag for name, lag in usual.items() if lag > LARGE_DELAY_MS}
    if late:
        cameras = ", ".join(f"{name} {lag:.0f} ms" for name, lag in late.items())
        yield Finding(
            "sets",
            Severity.NOTE,
            f"cameras that are usually behind the first image of their set: {cameras}",
            expected=f"less than {LARGE_DELAY_MS:g} ms",
            cause="cameras that take turns, or a trigger that is delayed",
            fix="trigger the cameras together, or expect fast objects to be displaced",
        )


def _lag_ms(found: SynchronizedSet[_Moment], name: str) -> float:
    return (found.frames[name].stamp_ns - found.stamp_ns) / 1e6


def _arrivals(seen: Observation, names: list[str]) -> Iterator[_Moment]:
    """Stamps of all cameras in the order in which they came."""
    streams = (
        [(int(log), name, int(stamp)) for log, stamp in
         zip(seen.cameras[name].log_ns, seen.cameras[name].stamps_ns)]
        for name in names
    )  # fmt: skip
    for _, name, stamp in heapq.merge(*(sorted(stream) for stream in streams)):
        yield _Moment(name, stamp)
