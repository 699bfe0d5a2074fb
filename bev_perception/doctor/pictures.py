# SPDX-License-Identifier: Apache-2.0
"""Pictures beside findings: the camera's image with the ground grid and the horizon that its
calibration claims."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.examination import Examination
from bev_perception.doctor.finding import Finding, Severity
from bev_perception.doctor.recording import ImageSample, Observation
from bev_perception.errors import BevError
from bev_perception.geometry import CameraFrame, FrameSet
from bev_perception.visualization import camera_picture, draw_ground_grid

PICTURED = frozenset(
    {"size", "focal", "principal-point", "distortion", "optical-frame", "mounting", "directions",
     "weights"}
)  # fmt: skip
"""Checks whose findings of a camera a look at its geometry explains."""

TEXT = (
    "As CameraInfo and TF have it: the grid must lie flat on the road, in metres of base_link, and "
    "the yellow line on the horizon."
)


def with_pictures(examination: Examination) -> Examination:
    """The same, with a picture for each warning or error that one explains and that has none."""
    drawn: dict[str, NDArray[np.uint8] | None] = {}
    findings = []
    for finding in examination.findings:
        if _wants_picture(finding):
            if finding.camera not in drawn:
                drawn[finding.camera] = grid_picture(examination.observation, finding.camera)
            finding = replace(finding, picture=drawn[finding.camera], picture_text=TEXT)
        findings.append(finding)
    return replace(examination, findings=tuple(findings))


def grid_picture(seen: Observation, camera: str) -> NDArray[np.uint8] | None:
    """(H, W, 3) uint8 RGB of a camera with grid and horizon; None without image or mounting."""
    entry = seen.rig_cameras.get(camera)
    samples = seen.cameras[camera].samples if camera in seen.cameras else ()
    if entry is None or not samples:
        return None
    image = _decoded(samples[len(samples) // 2])
    return None if image is None else draw_ground_grid(image, entry)


def overview_picture(seen: Observation, width: int = 2000) -> NDArray[np.uint8] | None:
    """All cameras of the rig at one moment with grid and horizon; None where there are none."""
    rig = seen.rig
    moments = seen.moments()
    if rig is None or not moments:
        return None
    samples = max(moments[len(moments) // 2 :] + moments, key=len)
    frames = {}
    for name, sample in samples.items():
        image = _decoded(sample) if name in rig else None
        if image is None:
            continue
        if image.shape[:2] == (rig[name].camera.height, rig[name].camera.width):
            frames[name] = CameraFrame(name, sample.stamp_ns, image)
    if not frames:
        return None
    missing = tuple(name for name in rig.names if name not in frames)
    stamp_ns = min(frame.stamp_ns for frame in frames.values())
    return camera_picture(FrameSet(stamp_ns, frames, missing), rig, (), (), width, ground_grid=True)


def _wants_picture(finding: Finding) -> bool:
    return (
        finding.picture is None
        and bool(finding.camera)
        and finding.check in PICTURED
        and finding.severity in (Severity.WARNING, Severity.ERROR)
    )


def _decoded(sample: ImageSample) -> NDArray[np.uint8] | None:
    try:
        return sample.image()
    except BevError:
        return None  # told as a finding of its own
