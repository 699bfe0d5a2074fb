# SPDX-License-Identifier: Apache-2.0
"""Do images come evenly? By times of arrival, which no driver can get wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.summary import GAP_FACTOR
from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import CameraTrack, Observation

FEWEST = 5
"""Images below which a rate says nothing."""

RATE_SHARE = 0.8
"""A camera slower than this share of the fastest one is told."""

JITTER_SHARE = 0.3
"""Ninth decile of the periods' deviation, as share of the usual period."""


def check_rate(seen: Observation, _: Findings) -> Iterator[Finding]:
    """Cameras that are slower than others, or end early."""
    periods = {name: _period_s(track) for name, track in seen.cameras.items()}
    known = [period for period in periods.values() if period is not None]
    fastest = min(known, default=None)
    for name, period in periods.items():
        track = seen.cameras[name]
        if period is None or fastest is None:
            continue
        if fastest / period < RATE_SHARE:
            yield Finding(
                "rate",
                Severity.WARNING,
                f"{1 / period:.2f} images per second",
                camera=name,
                expected=f"{1 / fastest:.2f}, as of the fastest camera",
                cause="a longer exposure, another setting, or images lost on the way (bandwidth, "
                "full queues, a slow disk)",
                fix="set all cameras to one rate; use compressed images where bandwidth is short",
            )
        yield from _ends(seen, track, name, period)


def check_jitter(seen: Observation, _: Findings) -> Iterator[Finding]:
    """Periods between stamps that vary, gaps left aside."""
    for name, track in seen.cameras.items():
        usual = _period_s(track)
        if usual is None or _is_constant(track.stamps_ns):
            continue
        periods = np.asarray(np.diff(np.sort(track.stamps_ns)) / 1e9, np.float64)
        periods = periods[(periods > 0) & (periods < GAP_FACTOR * usual / 2)]
        if len(periods) < FEWEST:
            continue
        deviation = float(np.quantile(np.abs(periods - np.median(periods)), 0.9))
        if deviation > JITTER_SHARE * usual:
            yield Finding(
                "jitter",
                Severity.WARNING,
                f"periods between stamps vary by {1e3 * deviation:.0f} ms around "
                f"{1e3 * usual:.0f} ms",
                camera=name,
                expected=f"less than {1e3 * JITTER_SHARE * usual:.0f} ms",
                cause="images stamped on arrival instead of at exposure, or an exposure that is "
                "not triggered evenly",
                fix="stamp images in the driver with the time of exposure; use a hardware trigger",
            )


def check_gaps(seen: Observation, _: Findings) -> Iterator[Finding]:
    """Times without images."""
    for name, track in seen.cameras.items():
        usual = _period_s(track)
        if usual is None:
            continue
        logs = np.sort(track.log_ns)
        periods = np.diff(logs) / 1e9
        gaps = periods[periods > GAP_FACTOR * usual]
        if not len(gaps):
            continue
        lost = int(np.round(gaps / usual - 1).sum())
        at = (logs[int(np.argmax(periods))] - seen.log_range_ns[0]) / 1e9
        yield Finding(
            "gaps",
            Severity.WARNING,
            f"{len(gaps)} {'gap' if len(gaps) == 1 else 'gaps'}, the longest of "
            f"{gaps.max():.2f} s at {at:.2f} s: about {lost} images are lost",
            camera=name,
            expected=f"an image every {usual:.3f} s",
            cause="bandwidth (USB, network), a disk that is too slow for the recorder, or a driver "
            "that restarts",
            fix="look at the driver's log and at dropped messages of the recorder; record "
            "compressed images",
        )


def _ends(seen: Observation, track: CameraTrack, name: str, period_s: float) -> Iterator[Finding]:
    """A camera that begins late or stops long before the others do."""
    others = [each for each in seen.cameras.values() if len(each.log_ns)]
    begin, end = (
        min(each.log_ns.min() for each in others),
        max(each.log_ns.max() for each in others),
    )
    patience_ns = 1e9 * max(1.0, GAP_FACTOR * period_s)
    for late_ns, word in (
        (int(track.log_ns.min() - begin), "begins"),
        (int(end - track.log_ns.max()), "stops"),
    ):
        if late_ns > patience_ns:
            side = "after the first camera" if word == "begins" else "before the others' last image"
            yield Finding(
                "rate",
                Severity.WARNING if word == "begins" else Severity.ERROR,
                f"{word} {late_ns / 1e9:.1f} s {side}",
                camera=name,
                expected="images for as long as the other cameras",
                cause="its driver started late"
                if word == "begins"
                else "the camera or its driver died (power, cable, a crash)",
                fix="look at the camera and its driver's log",
            )


def _period_s(track: CameraTrack) -> float | None:
    """Usual time between images; None for too few."""
    if len(track.log_ns) < FEWEST:
        return None
    period = float(np.median(np.diff(np.sort(track.log_ns)))) / 1e9
    return period if period > 0 else None


def _is_constant(stamps_ns: NDArray[np.int64]) -> bool:
    return bool((np.diff(stamps_ns) == 0).mean() > 0.5)
