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
from bev_perception.geometry import CameraFrame, FrameSet, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL, levelled
from bev_perception.visualization import camera_picture, draw_ground_grid
from bev_perception.visualization.text import draw_text

PICTURED = frozenset(
    {"size", "focal", "principal-point", "distortion", "optical-frame", "mounting", "directions"}
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
            key = f"{finding.check == 'optical-frame'} {finding.camera}"
            if key not in drawn:
                drawn[key] = _drawn(examination.observation, finding)
            finding = replace(finding, picture=drawn[key], picture_text=TEXT)
        findings.append(finding)
    return replace(examination, findings=tuple(findings))


def grid_picture(seen: Observation, camera: str) -> NDArray[np.uint8] | None:
    """(H, W, 3) uint8 RGB of a camera with grid and horizon; None without image or mounting."""
    entry = seen.rig_cameras.get(camera)
    image = _image(seen, camera)
    return None if entry is None or image is None else _labelled(image, entry, "as it is")


def proposal_picture(seen: Observation, camera: str) -> NDArray[np.uint8] | None:
    """As grid_picture, beside it the same with the camera's frame read as a body frame."""
    entry = seen.rig_cameras.get(camera)
    image = _image(seen, camera)
    if entry is None or image is None:
        return None
    turned = replace(entry, base_T_camera=entry.base_T_camera @ BODY_T_OPTICAL)
    views = [
        _labelled(image, entry, "as it is"),
        _labelled(image, turned, "read as a body frame"),
    ]
    return np.concatenate(views, axis=1)


def level_picture(seen: Observation) -> NDArray[np.uint8] | None:
    """The first camera with the level ground that the ego pose claims."""
    for camera, entry in seen.rig_cameras.items():
        samples = seen.cameras[camera].samples
        image = _image(seen, camera)
        if image is None:
            continue
        pose = seen.world_T_base(samples[len(samples) // 2].stamp_ns)
        if pose is not None:
            return _labelled(image, entry, "level ground by the ego pose", levelled(pose).inverse())
    return None


def _image(seen: Observation, camera: str) -> NDArray[np.uint8] | None:
    samples = seen.cameras[camera].samples if camera in seen.cameras else ()
    return _decoded(samples[len(samples) // 2]) if samples else None


def _labelled(
    image: NDArray[np.uint8],
    entry: RigCamera,
    text: str,
    base_T_ground: RigidTransform | None = None,
) -> NDArray[np.uint8]:
    picture = draw_ground_grid(image, entry, base_T_ground=base_T_ground)
    if np.array_equal(picture, image):
        text += ": neither ground nor horizon in view"
    height = max(8.0, image.shape[1] / 60)
    draw_text(picture, text, (8, round(1.4 * height)), height, plate=0.6)
    return picture


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
    if finding.picture is not None or finding.severity.rank < Severity.WARNING.rank:
        return False
    return finding.check == "ego-pose" or (bool(finding.camera) and finding.check in PICTURED)


def _drawn(seen: Observation, finding: Finding) -> NDArray[np.uint8] | None:
    if finding.check == "ego-pose":
        return level_picture(seen)
    if finding.check == "optical-frame":
        return proposal_picture(seen, finding.camera)
    return grid_picture(seen, finding.camera)


def _decoded(sample: ImageSample) -> NDArray[np.uint8] | None:
    try:
        return sample.image()
    except BevError:
        return None  # told as a finding of its own
