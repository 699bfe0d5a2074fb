# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo to a PinholeCamera and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bev_perception.bags.headers import make_header
from bev_perception.bags.typestore import CAMERA_INFO, message_class
from bev_perception.errors import CalibrationError, TransformError
from bev_perception.geometry import PinholeCamera, RigidTransform

_MODEL_NAMES = {"fisheye": "equidistant", "rational_polynomial": "rational_polynomial"}


@dataclass(frozen=True)
class CameraCalibration:
    """What a CameraInfo says of the images beside it.

    Attributes:
        camera: intrinsics of the images as published, after binning and region of interest.
        camera_T_image: takes points of the images' own optical frame to the frame named in
            the header; not the identity for rectified images of a rotated stereo pair.
        frame_id: the optical frame named in the header, without a leading slash.
    """

    camera: PinholeCamera
    camera_T_image: RigidTransform
    frame_id: str


def calibration_from_message(
    message: Any, topic: str, rectified: bool = False
) -> CameraCalibration:
    """Reads a CameraInfo.

    Args:
        message: sensor_msgs/CameraInfo.
        topic: its topic, for messages.
        rectified: whether it accompanies a rectified image (``image_rect``): then the
            projection matrix p applies, without distortion, in the frame turned by r.

    Raises:
        CalibrationError: uncalibrated (k[0] = 0) or impossible; names the topic.
    """
    k = np.asarray(message.k, dtype=np.float64).reshape(3, 3)
    if k[0, 0] == 0:
        raise CalibrationError(
            f"{topic}: k[0] = 0 in CameraInfo means that the camera was never calibrated; "
            f"calibrate it and record again, or give its intrinsics in a rig file"
        )
    model: str = "none"
    coefficients: tuple[float, ...] = ()
    camera_T_image = RigidTransform.identity()
    try:
        if rectified:
            matrix = np.asarray(message.p, dtype=np.float64).reshape(3, 4)[:, :3]
            turn = np.asarray(message.r, dtype=np.float64).reshape(3, 3)
            camera_T_image = RigidTransform(turn if turn.any() else np.eye(3), np.zeros(3))
            camera_T_image = camera_T_image.inverse()
        else:
            matrix = k
            model, coefficients = _distortion(message.distortion_model, message.d)
        full = PinholeCamera(int(message.width), int(message.height), matrix, model, coefficients)
        camera = _published_window(full, message)
    except (CalibrationError, TransformError) as error:
        raise CalibrationError(f"{topic}: {error}") from error
    return CameraCalibration(camera, camera_T_image, message.header.frame_id.lstrip("/"))


def camera_to_message(camera: PinholeCamera, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/CameraInfo of a camera whose images are neither binned nor cropped."""
    types = message_class
    return types(CAMERA_INFO)(
        header=make_header(stamp_ns, frame_id),
        **calibration_fields(camera),
        binning_x=0,
        binning_y=0,
        roi=types("sensor_msgs/msg/RegionOfInterest")(0, 0, 0, 0, False),
    )


def calibration_fields(camera: PinholeCamera) -> dict[str, Any]:
    """Size, distortion and matrices as CameraInfo names them; arrays are flat float64."""
    distorted = camera.distortion_model != "none"
    p = np.zeros((3, 4))
    p[:, :3] = camera.matrix
    return {
        "height": camera.height,
        "width": camera.width,
        "distortion_model": camera.distortion_model if distorted else "plumb_bob",
        "d": np.array(camera.distortion if distorted else (0.0,) * 5, dtype=np.float64),
        "k": camera.matrix.reshape(-1).copy(),
        "r": np.eye(3).reshape(-1),
        "p": p.reshape(-1),
    }


def _distortion(model: str, d: Any) -> tuple[str, tuple[float, ...]]:
    """Model name and coefficients as PinholeCamera takes them."""
    coefficients = tuple(float(value) for value in d)
    name = _MODEL_NAMES.get(model, model)
    if name == "equidistant":
        return name, coefficients  # all-zero coefficients are a fisheye lens too
    if not any(coefficients):
        return "none", ()
    if not name:
        raise CalibrationError(
            f"distortion_model is empty but d = {list(coefficients)}; name the model, "
            f"for example plumb_bob, in the driver or in a rig file"
        )
    return name, coefficients


def _published_window(full: PinholeCamera, message: Any) -> PinholeCamera:
    """The camera of the published image: region of interest first, binning after."""
    roi = message.roi
    camera = full
    if roi.width and roi.height:
        left, top, width, height = (
            int(value) for value in (roi.x_offset, roi.y_offset, roi.width, roi.height)
        )
        if left + width > full.width or top + height > full.height:
            raise CalibrationError(
                f"region of interest {width}x{height} at ({left}, {top}) exceeds the image of "
                f"{full.width}x{full.height}"
            )
        camera = full.cropped(left, top, width, height)
    bins = max(1, int(message.binning_x)), max(1, int(message.binning_y))
    if bins == (1, 1):
        return camera
    whole = camera.width // bins[0] * bins[0], camera.height // bins[1] * bins[1]
    if 0 in whole:
        raise CalibrationError(
            f"binning {bins[0]}x{bins[1]} leaves nothing of {camera.width}x{camera.height} pixels"
        )
    return camera.cropped(0, 0, *whole).resized(whole[0] // bins[0], whole[1] // bins[1])
