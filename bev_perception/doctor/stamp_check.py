# SPDX-License-Identifier: Apache-2.0
"""Are the stamps of each camera growing times of exposure, of the clock that all others use?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.summary import CLOCK_TOLERANCE_S
from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import CameraTrack, Observation

FUTURE_S = 0.02
"""Stamps may be this much later than the recorder's clock."""

APART_S = 0.3
"""Cameras whose delays differ by more than this use different clocks."""

TOLERANCE_S = 0.05
"""Perception's own for images of one set."""

DRIFT_PPM = 500.0
"""Clocks of computers drift against each other by less than this."""

_DAY_S = 86_400.0
_SHORTEST_DRIFT_S = 5.0
_LEAST_DRIFT_S = 0.02
_DRIVER_FIX = "stamp each image with its own time of exposure in the driver"


def check_stamps(seen: Observation, _: Findings) -> Iterator[Finding]:
    """Stamps that were never filled, stand still, repeat or go back."""
    yield from _backward(seen)
    for name, track in seen.cameras.items():
        stamps, count = track.stamps_ns, len(track.stamps_ns)
        if count < 2:
            if count and not stamps.all():
                yield _never_filled(name, 1, count)
            continue
        steps = np.diff(stamps)
        zeros, same = int((stamps == 0).sum()), int((steps == 0).sum())
        if zeros > count / 2:
            yield _never_filled(name, zeros, count)
        elif same > count / 2:
            yield Finding(
                "stamps",
                Severity.ERROR,
                f"{same} of {count} images have the stamp of the one before; it stands at "
                f"{np.median(stamps) / 1e9:.3f} s",
                camera=name,
                expected="a stamp of its own for each image",
                cause="a header that is filled once and sent again, or /clock that stands still",
                fix=_DRIVER_FIX,
            )
        elif same:
            yield Finding(
                "stamps",
                Severity.WARNING,
                f"{same} of {count} images have the stamp of the one before",
                camera=name,
                expected="a stamp of its own for each image",
                cause="images sent twice (two publishers, a bridge that repeats), or stamps that "
                "are rounded",
                fix="stop the second publisher; " + _DRIVER_FIX,
            )


def _backward(seen: Observation) -> Iterator[Finding]:
    """Stamps that go back; told once where all cameras' do, as the clock was set back then."""
    found = {}
    for name, track in seen.cameras.items():
        steps = np.diff(track.stamps_ns)
        back = int((steps < 0).sum())
        if back and track.stamps_ns.all():
            count, worst_s = len(track.stamps_ns), -steps.min() / 1e9
            text = f"{back} of {count} stamps go back, by up to {worst_s:.3f} s"
            found[name] = back, text
    expected = "stamps that grow"
    sending = [name for name, track in seen.cameras.items() if len(track.stamps_ns)]
    if len(found) == len(sending) > 1 and len({back for back, _ in found.values()}) == 1:
        name, (_, text) = next(iter(found.items()))
        yield Finding(
            "stamps",
            Severity.WARNING if seen.is_live else Severity.ERROR,
            f"all cameras' stamps go back at once; of {name}, {text}",
            expected=expected,
            cause="the clock was set back: a simulation that was restarted, a bag that loops, time "
            "synchronisation",
            fix="let it run without jumps" if seen.is_live else "split the bag where it jumps",
        )
        return
    for name, (_, text) in found.items():
        yield Finding(
            "stamps",
            Severity.ERROR,
            text,
            camera=name,
            expected=expected,
            cause="images that overtake each other in the driver, two publishers on one topic, or "
            "a camera whose clock is set back",
            fix="send images in the order of exposure; stop the second publisher",
        )


def check_clock(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Stamps against the recorder's clock and /clock; drift."""
    delays = _delays_s(seen, so_far)
    middle = float(np.median([np.median(each) for each in delays.values()])) if delays else 0.0
    if abs(middle) > CLOCK_TOLERANCE_S:
        yield _other_clock(seen, middle)
    for name, delay in delays.items():
        own = float(np.median(delay))
        if abs(own - middle) > TOLERANCE_S:
            continue  # told by check_offset
        if middle >= -CLOCK_TOLERANCE_S and own < -FUTURE_S:
            yield Finding(
                "clock",
                Severity.WARNING,
                f"stamps are {-own:.3f} s in the future of the clock that recorded them",
                camera=name,
                expected="a little earlier than the time of recording",
                cause="the camera's computer and this one are not synchronised",
                fix="synchronise the clocks (PTP, chrony) and record again",
            )
        yield from _drift(seen, name, delay)


def check_offset(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """A camera whose stamps are of another clock than the others'."""
    delays = {name: float(np.median(each)) for name, each in _delays_s(seen, so_far).items()}
    for name, delay in delays.items():
        others = [other for other in delays if other != name]
        if not others:
            continue
        apart = float(np.median([delays[other] for other in others])) - delay
        if len(others) == 1 and next(iter(delays)) == name:
            continue  # of two cameras nobody knows which is right: told once, of the second
        shift = min(_nearest_s(seen, name, other) for other in others)
        is_other_clock = abs(apart) > APART_S or shift > TOLERANCE_S
        if abs(apart) <= TOLERANCE_S:
            continue
        where = "ahead of" if apart > 0 else "behind"
        yield Finding(
            "offset",
            Severity.ERROR if is_other_clock else Severity.WARNING,
            f"stamps are {abs(apart):.3f} s {where} the other cameras' of the same time of "
            f"recording",
            camera=name,
            expected=f"less than {TOLERANCE_S:g} s apart",
            cause="this camera's computer has another clock, or its driver stamps in another time "
            "base"
            if is_other_clock
            else "its images, or all others', wait in a queue or take long to be sent; or clocks "
            "differ a little",
            fix="synchronise the clocks (PTP, chrony), or mend the stamps in the driver"
            if is_other_clock
            else "synchronise the clocks; shorten queues, or raise sync_timeout_ms",
        )


def _nearest_s(seen: Observation, name: str, other: str) -> float:
    """Usual distance of a camera's stamps to the nearest one of another camera."""
    own, theirs = seen.cameras[name].stamps_ns, np.sort(seen.cameras[other].stamps_ns)
    right = np.searchsorted(theirs, own)
    near = [np.abs(theirs[np.clip(right + k, 0, len(theirs) - 1)] - own) for k in (-1, 0)]
    return float(np.median(np.minimum(*near))) / 1e9


def _never_filled(name: str, zeros: int, count: int) -> Finding:
    return Finding(
        "stamps",
        Severity.ERROR,
        f"{zeros} of {count} images have the stamp 0",
        camera=name,
        expected="the time of exposure",
        cause="the driver never fills header.stamp",
        fix=_DRIVER_FIX,
    )


def _delays_s(seen: Observation, so_far: Findings) -> dict[str, NDArray[np.float64]]:
    """Time of recording minus stamp, by camera whose stamps are fit to judge."""
    return {
        name: (track.log_ns - track.stamps_ns) / 1e9
        for name, track in seen.cameras.items()
        if len(track.stamps_ns) and not so_far.has_error("stamps", camera=name)
    }


def _other_clock(seen: Observation, delay_s: float) -> Finding:
    """All cameras are of another clock than the recorder."""
    agrees = _clock_delay_s(seen)
    if agrees is not None and abs(agrees) < CLOCK_TOLERANCE_S:
        return Finding(
            "clock",
            Severity.NOTE,
            f"stamps are {_span_text(abs(delay_s))} {'behind' if delay_s > 0 else 'ahead of'} the "
            f"recorder's clock and follow /clock",
            expected="nodes that use these topics with use_sim_time: true",
            cause="a simulation or a bag that is played",
            fix="run bev record and the node with use_sim_time",
        )
    no_clock = "there is no /clock" if not len(seen.clock) else "/clock tells another time"
    return Finding(
        "clock",
        Severity.WARNING if seen.is_live else Severity.NOTE,
        f"all stamps are {_span_text(abs(delay_s))} {'behind' if delay_s > 0 else 'ahead of'} the "
        f"recorder's clock, and {no_clock}",
        expected="stamps of the recorder's clock, or a /clock that they follow",
        cause="a bag that is played without its clock, a simulation, or a computer whose clock is "
        "wrong",
        fix="play with --clock and use use_sim_time, or set the clock",
    )


def _span_text(seconds: float) -> str:
    """A span of time for a person: simulations count from zero, decades away."""
    return f"{seconds:.1f} s" if seconds < _DAY_S else f"{seconds / _DAY_S:.0f} days"


def _clock_delay_s(seen: Observation) -> float | None:
    """Usual /clock minus stamp at the images' times of recording; None without /clock."""
    if not len(seen.clock):
        return None
    logs, values = seen.clock[:, 0], seen.clock[:, 1]
    delays = []
    for track in seen.cameras.values():
        if not len(track.log_ns):
            continue
        index = np.clip(np.searchsorted(logs, track.log_ns, "right") - 1, 0, len(logs) - 1)
        delays.append(float(np.median(values[index] - track.stamps_ns)) / 1e9)
    return float(np.median(delays)) if delays else None


def _drift(seen: Observation, name: str, delay_s: NDArray[np.float64]) -> Iterator[Finding]:
    """A delay that grows or shrinks evenly."""
    track: CameraTrack = seen.cameras[name]
    elapsed = (track.log_ns - track.log_ns[0]) / 1e9
    if len(elapsed) < 8 or elapsed[-1] < _SHORTEST_DRIFT_S:
        return
    third = len(elapsed) // 3
    first, last = np.median(delay_s[:third]), np.median(delay_s[-third:])
    apart_s = float(np.median(elapsed[-third:]) - np.median(elapsed[:third]))
    slope = float(last - first) / apart_s
    middle = delay_s[third : len(elapsed) - third]
    is_even = abs(float(np.median(middle)) - (first + last) / 2) < abs(last - first) / 4
    if abs(1e6 * slope) < DRIFT_PPM or abs(last - first) < _LEAST_DRIFT_S or not is_even:
        return
    yield Finding(
        "clock",
        Severity.WARNING,
        f"stamps run {'slower' if slope > 0 else 'faster'} than the recorder's clock by "
        f"{1e3 * abs(slope):.2f} ms per second ({1e3 * abs(last - first):.0f} ms so far)",
        camera=name,
        expected="the same pace",
        cause="a camera with a free-running clock of its own, stamps counted as frames by a "
        "nominal rate, a simulation that is not real time, or images that queue up",
        fix="synchronise the camera's clock (PTP), or stamp images at their exposure",
    )
