# SPDX-License-Identifier: Apache-2.0
"""Is TF there, whole, of one voice, and in time?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.static_changes import is_other_place
from bev_perception.bags.summary import CLOCK_TOLERANCE_S
from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import Observation, TransformTrack
from bev_perception.errors import CalibrationError
from bev_perception.geometry.transform import QUATERNION_NORM_TOLERANCE

SAME_METRES, SAME_RADIANS = 0.01, 0.005
"""Senders that round differ by less."""

JUMP_M, JUMP_RADIANS = 0.3, 0.1
"""A moving frame that jumps there and back by more has two senders."""

LATE_S = 0.2
"""Transforms that come this much later than the images of their time are too late for sets."""

_NORM_WARNING = 1e-3


def check_transforms(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Every camera is connected with the vehicle frame."""
    if seen.base_frame_problem:
        yield Finding(
            "tf",
            Severity.ERROR,
            seen.base_frame_problem,
            expected="base_link, with the cameras' frames below it",
            cause="another name for the vehicle frame, or TF of another robot",
            fix="name base_frame in a rig file (--rig)",
        )
        return
    told = {track.child for track in seen.transforms} if so_far.has_error("quaternions") else set()
    for name, error in seen.rig_problems.items():
        track = seen.cameras[name]
        if isinstance(error, CalibrationError) or so_far.has_error("camera-info", camera=name):
            continue
        if not track.log_ns.size or (track.form is not None and track.form.frame_id in told):
            continue
        nothing = not seen.transforms
        yield Finding(
            "tf",
            Severity.ERROR,
            "there is no TF at all" if nothing else _without_advice(str(error)),
            camera=name,
            expected=f"a transform from {seen.base_frame} to the camera's optical frame",
            cause="/tf_static was not recorded, robot_state_publisher or a "
            "static_transform_publisher does not run, or frame_id is misspelt",
            fix="record /tf_static (bev record always does), publish the mounting, or give "
            "position and rpy_deg in a rig file",
        )


def check_quaternions(seen: Observation, _: Findings) -> Iterator[Finding]:
    """Rotations that are none."""
    for track in seen.transforms:
        norms = np.linalg.norm(track.values[:, 3:], axis=1)
        finite = np.asarray(np.isfinite(track.values).all(axis=1))
        bad = np.asarray(~finite | (np.abs(norms - 1) > QUATERNION_NORM_TOLERANCE))
        off = np.asarray(~bad & (np.abs(norms - 1) > _NORM_WARNING))
        if bad.any():
            index = int(np.argmax(bad))
            values = ", ".join(f"{value:.4g}" for value in track.values[index])
            is_nan = not finite[index]
            yield Finding(
                "quaternions",
                Severity.ERROR,
                f"{_edge(track)}: {int(bad.sum())} of {len(bad)} transforms are none: "
                f"translation and quaternion x, y, z, w = {values}",
                expected="finite values and a quaternion of length 1",
                cause="a localisation that lost track divides by zero"
                if is_nan
                else "a quaternion that was never filled or never normalised, or Euler angles "
                "written into it",
                fix="normalise and check before sending; do not send while there is no solution",
            )
        elif off.any():
            worst = float(norms[np.argmax(np.abs(norms - 1))])
            yield Finding(
                "quaternions",
                Severity.WARNING,
                f"{_edge(track)}: a quaternion of length {worst:.4f}",
                expected="1",
                cause="a quaternion that was rounded or integrated without being normalised",
                fix="normalise it before sending",
            )


def check_publishers(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Frames that two senders place differently, and mountings that do not stay."""
    if not so_far.has_error("quaternions"):
        yield from _moving_mounts(seen)
    by_child: dict[str, list[TransformTrack]] = defaultdict(list)
    for track in seen.transforms:
        if not track.is_odometry:
            by_child[track.child].append(track)
    for child, tracks in by_child.items():
        text = _contradiction(tracks)
        if text:
            topics = sorted({track.topic for track in tracks if seen.publishers.get(track.topic)})
            who = "".join(
                f"; on {topic} publish {', '.join(seen.publishers[topic])}" for topic in topics
            )
            yield Finding(
                "tf-publishers",
                Severity.ERROR,
                f"{text}{who}",
                expected=f"one sender that places {child!r}",
                cause="two publishers of one transform: a URDF and a static_transform_publisher, "
                "two localisations, or a bag that is played beside the running system",
                fix=f"stop one of them; `ros2 topic info -v /tf` and `ros2 run tf2_tools "
                f"view_frames` tell who sends {child!r}",
            )


def check_transform_times(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Moving transforms reach the images' times, and come in time."""
    images = [t for t in seen.cameras.values() if len(t.stamps_ns)]
    if not images or so_far.has_error("tf", "tf-publishers", "quaternions"):
        return
    stamps = np.concatenate([track.stamps_ns for track in images])
    delay_s = float(np.median(np.concatenate([t.log_ns - t.stamps_ns for t in images]))) / 1e9
    stamps_ok = not so_far.has_error("stamps")
    told = {track.child for track in seen.transforms if not track.is_odometry}
    for track in seen.transforms:
        if track.is_static or len(track.stamps_ns) < 2 or not stamps_ok:
            continue
        if track.child in told and track.is_odometry:
            continue
        if not _on_the_way(seen, track):
            continue
        edge, times = _edge(track), np.sort(track.stamps_ns)
        own_delay_s = float(np.median(track.log_ns - track.stamps_ns)) / 1e9
        covered = (stamps >= times[0]) & (stamps <= times[-1])
        if covered.mean() < 0.5 and abs(own_delay_s - delay_s) > LATE_S:
            yield Finding(
                "tf-time",
                Severity.ERROR,
                f"{edge}: stamps are {abs(own_delay_s - delay_s):.2f} s "
                f"{'behind' if own_delay_s > delay_s else 'ahead of'} the images' of the same time "
                f"of recording; {100 * (1 - covered.mean()):.0f} % of the images have no transform",
                expected="stamps of the clock that the images use",
                cause="use_sim_time is set in one node and not in the other, or two computers "
                "without common time",
                fix="set use_sim_time alike everywhere; synchronise the clocks",
            )
        elif own_delay_s - delay_s > LATE_S and abs(delay_s) < CLOCK_TOLERANCE_S:
            yield Finding(
                "tf-time",
                Severity.WARNING,
                f"{edge}: comes {own_delay_s - delay_s:.2f} s later than the images of its time",
                expected=f"less than {LATE_S:g} s",
                cause="a localisation that is slow or stamps the past, or a queue",
                fix="raise transform_timeout_ms of the node, or use odometry that is quicker",
            )
        else:
            yield from _holes(edge, times, stamps)


def _moving_mounts(seen: Observation) -> Iterator[Finding]:
    """Mountings on /tf_static that change."""
    for track in seen.transforms:
        if not track.is_static or len(track.values) < 2:
            continue
        others = is_other_place(track.values, track.values[-1])
        if others.any():
            yield Finding(
                "tf-publishers",
                Severity.ERROR,
                f"{_edge(track)}: {int(others.sum())} of {len(others)} messages tell another "
                "value than the last",
                expected="one value: static transforms do not change",
                cause="two static publishers of one frame, or a mounting changed while recording",
                fix="stop one of them; make a new recording after a camera was moved",
            )


def _holes(edge: str, times: NDArray[np.int64], stamps: NDArray[np.int64]) -> Iterator[Finding]:
    periods = np.diff(times) / 1e9
    usual = float(np.median(periods))
    longest = float(periods.max())
    index = int(periods.argmax())
    inside = int(((stamps > times[index]) & (stamps < times[index + 1])).sum())
    if inside and usual > 0 and longest > max(1.0, 5 * usual):
        yield Finding(
            "tf-time",
            Severity.WARNING,
            f"{edge}: nothing for {longest:.2f} s, in which {inside} images fall",
            expected=f"a transform every {usual:.3f} s",
            cause="a localisation that lost track, or messages that were not recorded",
            fix="look at the localisation at that time",
        )


def _contradiction(tracks: list[TransformTrack]) -> str:
    """In words, how the senders of one frame contradict each other; empty where they do not."""
    child = tracks[0].child
    parents = {track.parent for track in tracks}
    if len(parents) > 1:
        counts = ", ".join(f"{t.parent!r} ({len(t.values)} messages on {t.topic})" for t in tracks)
        return f"{child!r} has several parents: {counts}"
    for track in tracks:
        for other in tracks:
            if track.is_static and not other.is_static and _differ(track.values, other.values):
                return f"{_edge(track)} on {track.topic} and on {other.topic} with other values"
    for track in tracks:
        jumps = _jumps(track)
        if jumps:
            return f"{_edge(track)}: {jumps}"
    return ""


def _jumps(track: TransformTrack) -> str:
    """Values of one stamp that differ, or that jump there and back."""
    order = np.lexsort((np.arange(len(track.stamps_ns)), track.stamps_ns))
    stamps, values = track.stamps_ns[order], track.values[order]
    if len(stamps) < 2 or not np.isfinite(values).all():
        return ""
    if track.is_static:
        return ""
    same = np.diff(stamps) == 0
    shift, turn = _steps(values, 1)
    twice = same & ((shift > SAME_METRES) | (turn > SAME_RADIANS))
    if twice.any():
        index = int(np.argmax(np.where(twice, shift, -1)))
        return (
            f"{int(twice.sum())} stamps come twice with other values, up to {shift[index]:.2f} m "
            f"and {np.degrees(turn[twice].max()):.1f} degrees apart"
        )
    if len(stamps) < 4:
        return ""
    shift2, turn2 = _steps(values, 2)
    far = (np.minimum(shift[:-1], shift[1:]) > np.maximum(JUMP_M, 3 * shift2)) | (
        np.minimum(turn[:-1], turn[1:]) > np.maximum(JUMP_RADIANS, 3 * turn2)
    )
    if far.sum() < 3 or far.mean() < 0.2:
        return ""
    return (
        f"jumps there and back {int(far.sum())} times, by {np.median(shift[:-1][far]):.2f} m and "
        f"{np.degrees(np.median(turn[:-1][far])):.1f} degrees"
    )


def _steps(values: NDArray[np.float64], by: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Metres and radians between samples that are so many apart."""
    shift = np.linalg.norm(values[by:, :3] - values[:-by, :3], axis=1)
    cosines = np.abs((values[by:, 3:] * values[:-by, 3:]).sum(axis=1))
    return shift, 2 * np.arccos(np.clip(cosines, 0.0, 1.0))


def _differ(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    pair = np.stack([first[-1], second[-1]])
    shift, turn = _steps(pair, 1)
    return bool(shift[0] > SAME_METRES or turn[0] > SAME_RADIANS)


def _on_the_way(seen: Observation, track: TransformTrack) -> bool:
    """Whether an edge is used: it places the vehicle, or a camera on it."""
    used = {seen.base_frame} | {entry.frame_id for entry in seen.rig_cameras.values()}
    parents = {child: parent for parent, child, _, _ in seen.tree.edges()}
    for frame in list(used):
        while frame in parents and parents[frame] not in used:
            frame = parents[frame]
            used.add(frame)
    return track.child in used and parents.get(track.child) == track.parent


def _edge(track: TransformTrack) -> str:
    return f"{track.parent!r} -> {track.child!r}"


def _without_advice(text: str) -> str:
    return text.partition("; record /tf_static")[0].partition(": ")[2] or text
