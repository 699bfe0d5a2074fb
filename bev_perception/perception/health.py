# SPDX-License-Identifier: Apache-2.0
"""Whether a camera's image of this moment can be used, and if not, why."""

from __future__ import annotations

import numpy as np

from bev_perception.errors import CalibrationError
from bev_perception.geometry import CameraFrame, CameraHealth, RigCamera
from bev_perception.perception.preparation import check_size

CONSTANT_RANGE = 2
"""Largest difference of values, of 255, in an image that shows nothing."""

BLACK_LEVEL = 8
"""Values up to this, of 255, count as black."""

_SAMPLES_PER_SIDE = 100

OK = CameraHealth(ok=True)


def camera_health(frame: CameraFrame | None, rig_camera: RigCamera) -> CameraHealth:
    """Health of one camera in one set.

    Causes: no image in this set, wrong size or type, an image that is black or of one
    colour all over (looked at on a grid of about 100 x 100 pixels).
    """
    if frame is None:
        return CameraHealth(ok=False, cause="no image in this set")
    try:
        check_size(frame, rig_camera)
    except CalibrationError as error:
        return CameraHealth(ok=False, cause=str(error))
    steps = [max(1, size // _SAMPLES_PER_SIDE) for size in frame.image.shape[:2]]
    samples = frame.image[:: steps[0], :: steps[1]]
    few = samples[::8, ::8, 1]
    if int(few.max()) - int(few.min()) > CONSTANT_RANGE:
        return OK  # in a usual image a few samples of one channel are enough to tell
    low, high = samples.min(axis=(0, 1)), samples.max(axis=(0, 1))
    if int(np.max(high - low)) > CONSTANT_RANGE:
        return OK
    if int(high.max()) <= BLACK_LEVEL:
        return CameraHealth(ok=False, cause="image is black")
    colour = ", ".join(str(int(value)) for value in high)
    return CameraHealth(ok=False, cause=f"image has one colour all over (RGB {colour})")
