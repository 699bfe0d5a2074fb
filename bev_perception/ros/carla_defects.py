# SPDX-License-Identifier: Apache-2.0
"""What real releases of CARLA's ROS interfaces get wrong about their cameras."""

from __future__ import annotations

from enum import Enum


class Defect(Enum):
    """A known difference between what is published and what is true.

    The value says what is wrong and how it is corrected.
    """

    HALF_PIXEL = (
        "principal point at w / 2, h / 2",
        "moved by half a pixel to the image's middle, as the first pixel's centre is 0",
    )
    NO_CALIBRATION = (
        "CameraInfo without focal length",
        "taken from the rig file's field of view",
    )
    TAN_OF_DEGREES = (
        "focal length w / (2 tan(fov) pi / 360), the tangent of degrees read as radians",
        "replaced by w / (2 tan(fov / 2))",
    )
    BODY_AXES = (
        "frame with x forward, y left, z up instead of an optical frame",
        "turned to x right, y down, z forward",
    )
    HALVED_ANGLES = (
        "roll, pitch and yaw of half their size (pi / 360 for pi / 180)",
        "doubled",
    )
    ROLL_SIGN = ("roll of the wrong sign", "sign changed")
    PITCH_SIGN = ("pitch of the wrong sign, as in CARLA's left-handed axes", "sign changed")
    YAW_SIGN = ("yaw of the wrong sign, as in CARLA's left-handed axes", "sign changed")
    Y_SIGN = ("y of the wrong sign, as in CARLA's left-handed axes", "sign changed")

    @property
    def fault(self) -> str:
        """What is wrong."""
        return self.value[0]

    @property
    def correction(self) -> str:
        """What is done about it."""
        return self.value[1]


SIGNS = frozenset({Defect.ROLL_SIGN, Defect.PITCH_SIGN, Defect.YAW_SIGN, Defect.Y_SIGN})
"""These TF alone cannot decide: a camera spawned with unconverted values really is there."""
