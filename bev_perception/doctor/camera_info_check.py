# SPDX-License-Identifier: Apache-2.0
"""Is there a CameraInfo for every camera, does it stay, and is it of these images?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bev_perception.bags.camera_info import calibration_from_message
from bev_perception.bags.typestore import CAMERA_INFO
from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import CameraTrack, Observation
from bev_perception.errors import BevError

_CALIBRATE = (
    "calibrate the camera (camera_calibration) and give the file to its driver, or give its "
    "intrinsics in a rig file (--rig)"
)
_TOLD_BY_LENSES = ("distort", "focal length", "takes ")


def check_camera_info(seen: Observation, _: Findings) -> Iterator[Finding]:
    """Missing, uncalibrated, changing, of another frame."""
    for name, track in seen.cameras.items():
        if not len(track.info.stamps_ns):
            if name not in seen.rig_cameras and len(track.log_ns):
                yield _missing(seen, track)
            continue
        if not track.info.changes:
            continue  # told by check_cameras: none can be read
        yield from _impossible(track)
        yield from _changes(track)
        yield from _frames(track)


def check_size(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Images of another size than CameraInfo or rig file says."""
    for name, track in seen.cameras.items():
        sizes = [(form.width, form.height) for form in track.forms if form.width]
        placed = seen.rig_cameras.get(name)
        if placed is not None:
            wanted = placed.camera.width, placed.camera.height
        else:
            found = _calibrated_size(track)
            if found is None:
                continue
            wanted = found
        wrong = [size for size in dict.fromkeys(sizes) if size != wanted]
        if not wrong:
            continue
        yield Finding(
            "size",
            Severity.ERROR,
            f"images of {', '.join(f'{w}x{h}' for w, h in wrong)} pixels, CameraInfo for "
            f"{wanted[0]}x{wanted[1]}",
            camera=name,
            expected="the size that the camera is calibrated for",
            cause=_size_cause(wrong[0], wanted),
            fix=f"publish the CameraInfo of these images on {track.topics.camera_info_topic}: "
            f"calibrate in the size that is published, or let image_proc resize both together",
        )


def _missing(seen: Observation, track: CameraTrack) -> Finding:
    others = sorted(
        topic
        for topic, kind in seen.topics.items()
        if kind == CAMERA_INFO
        and topic not in {each.topics.camera_info_topic for each in seen.cameras.values()}
    )
    return Finding(
        "camera-info",
        Severity.ERROR,
        f"nothing on {track.topics.camera_info_topic}"
        + (f"; there is CameraInfo on {', '.join(others)}" if others else ""),
        camera=track.name,
        expected="a CameraInfo beside the images",
        cause="the topic has another name"
        if others
        else "the driver has no calibration, or the topic was not recorded",
        fix="name camera_info_topic in a rig file (--rig)" if others else _CALIBRATE,
    )


def _impossible(track: CameraTrack) -> Iterator[Finding]:
    """The first CameraInfo that makes no camera; lens_check tells focal lengths and lenses."""
    for index, message in track.info.changes:
        values = [*np.asarray(message.k).ravel(), *np.asarray(message.d).ravel()]
        when = f"from message {index} on" if index else "from the first message on"
        if not np.isfinite(values).all():
            seen, cause = (
                f"values that are not finite {when}: k = {_short(message.k)}",
                ("a calibration that failed, or memory that was never filled"),
            )
        elif not np.asarray(message.k).any() or message.k[0] == 0:
            seen, cause = f"k[0] = 0 {when}", "the camera was never calibrated: drivers send zeros"
        elif not message.width or not message.height:
            seen, cause = (
                f"a size of {message.width}x{message.height} {when}",
                ("a driver that fills only part of CameraInfo"),
            )
        else:
            text = _refusal(track, message)
            if not text:
                continue
            seen, cause = f"{text} ({when})", "a calibration or driver that fills it wrongly"
        yield Finding(
            "camera-info",
            Severity.ERROR,
            seen,
            camera=track.name,
            expected="focal lengths and principal point in pixels of the published image",
            cause=cause,
            fix=_CALIBRATE,
        )
        return


def _refusal(track: CameraTrack, message: Any) -> str:
    """Why a CameraInfo makes no camera, but for what the checks of lenses tell."""
    topic = track.topics.camera_info_topic
    try:
        calibration_from_message(message, topic, track.topics.rectified)
    except BevError as error:
        text = str(error).removeprefix(f"{topic}: ")
        return "" if any(word in text for word in _TOLD_BY_LENSES) else text
    return ""


def _changes(track: CameraTrack) -> Iterator[Finding]:
    """A calibration that does not stay; the bag reader would use the first one throughout."""
    meanings = []
    for _, message in track.info.changes:
        try:
            found = calibration_from_message(
                message, track.topics.camera_info_topic, track.topics.rectified
            )
        except BevError:
            return  # told as impossible
        meanings.append((found.camera, found.frame_id))
    changes = [i for i in range(1, len(meanings)) if meanings[i] != meanings[i - 1]]
    if not changes:
        return
    first, other = meanings[0][0], meanings[changes[0]][0]
    yield Finding(
        "camera-info",
        Severity.ERROR,
        f"the calibration changes {len(changes)} times: fx {first.fx:.1f} to {other.fx:.1f}, "
        f"{first.width}x{first.height} to {other.width}x{other.height}",
        camera=track.name,
        expected="one calibration throughout",
        cause="two publishers on one CameraInfo topic, a zoom or autofocus lens, or a driver that "
        "was set up anew",
        fix=f"find who publishes {track.topics.camera_info_topic} (`ros2 topic info -v`) and "
        f"stop the wrong one; fix zoom and focus",
    )


def _frames(track: CameraTrack) -> Iterator[Finding]:
    info_frame = track.info.changes[0][1].header.frame_id.lstrip("/")
    form = track.form
    frames = sorted({each.frame_id for each in track.forms})
    if len(frames) > 1:
        yield Finding(
            "camera-info",
            Severity.WARNING,
            f"images come in several frames: {', '.join(map(repr, frames))}",
            camera=track.name,
            expected="one frame_id",
            cause="two publishers on one image topic",
            fix=f"stop one of the publishers of {track.topics.image_topic}",
        )
    elif form is not None and form.frame_id and info_frame and form.frame_id != info_frame:
        yield Finding(
            "camera-info",
            Severity.WARNING,
            f"images are in frame {form.frame_id!r}, their CameraInfo in {info_frame!r}",
            camera=track.name,
            expected="the same frame_id in both; CameraInfo's is used",
            cause="a driver that names its frames by two parameters, or a CameraInfo of another "
            "camera",
            fix="set both to the camera's optical frame",
        )


def _calibrated_size(track: CameraTrack) -> tuple[int, int] | None:
    for _, message in track.info.changes[:1]:
        try:
            found = calibration_from_message(
                message, track.topics.camera_info_topic, track.topics.rectified
            )
        except BevError:
            return (int(message.width), int(message.height)) if message.width else None
        return found.camera.width, found.camera.height
    return None


def _size_cause(size: tuple[int, int], wanted: tuple[int, int]) -> str:
    scale_x, scale_y = size[0] / wanted[0], size[1] / wanted[1]
    if size == wanted[::-1]:
        return (
            "the image was turned by 90 degrees and CameraInfo was not, or width and height are "
            "exchanged"
        )
    if abs(scale_x - scale_y) < 0.01:
        return (
            f"the images are scaled by {scale_x:.3g} and CameraInfo is not: a resizing node that "
            f"forgets it, or a calibration at another resolution"
        )
    return "the images are cropped or of another mode of the camera than the calibration"


def _short(values: object) -> str:
    return np.array2string(np.asarray(values), precision=4, threshold=9, max_line_width=200)
