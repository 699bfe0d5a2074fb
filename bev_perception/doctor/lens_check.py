# SPDX-License-Identifier: Apache-2.0
"""Are focal length, principal point and distortion those of a camera of this image?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bev_perception.bags.camera_info import calibration_from_message
from bev_perception.bags.camera_sanity import MAX_FOCAL_RATIO, MAX_PRINCIPAL_SHIFT
from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import CameraTrack, Observation
from bev_perception.errors import CalibrationError
from bev_perception.geometry import PinholeCamera
from bev_perception.geometry.camera import DISTORTION_COUNTS
from bev_perception.geometry.carla_focal import tan_of_degrees

FIELDS_OF_VIEW_DEG = (15.0, 150.0)
"""Of cameras that see a road, across their image, without a fisheye model."""

CENTER_SHARE = (0.1, MAX_PRINCIPAL_SHIFT)
"""Distance of the principal point from the middle, of the image's size: odd, and wrong."""

LARGE_BEND = 0.5
"""Shift at the border by the lens model, of half the diagonal, that no such lens has."""

_GRID = 33
_MODELS = ", ".join(model for model in DISTORTION_COUNTS if model != "none")
_CALIBRATE = "calibrate again with images of the size and lens that are used"


class _Focal(NamedTuple):
    """Focal lengths of one camera, as they stand in CameraInfo."""

    camera: str
    matrix: np.ndarray
    size: tuple[int, int]
    is_fisheye: bool

    @property
    def fx(self) -> float:
        return float(self.matrix[0, 0])

    @property
    def fy(self) -> float:
        return float(self.matrix[1, 1])

    @property
    def fov_deg(self) -> float:
        return math.degrees(2 * math.atan(self.size[0] / (2 * abs(self.fx)))) if self.fx else 0.0

    @property
    def is_odd(self) -> bool:
        """Whether no camera on a vehicle has this field of view."""
        low, high = FIELDS_OF_VIEW_DEG
        return not low < self.fov_deg < high and not self.is_fisheye


def check_focal(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Focal lengths, as they stand in CameraInfo; of each camera the first that is wrong."""
    for name, track, matrix, size in _matrices(seen, so_far):
        is_fisheye = bool(track.info.changes) and _model(track) in ("equidistant", "fisheye")
        focal = _Focal(name, matrix, size, is_fisheye)
        for look in (_tangent_of_degrees, _not_positive, _of_other_size, _odd_view, _not_square):
            found = look(focal)
            if found is not None:
                yield found
                break


def _tangent_of_degrees(focal: _Focal) -> Finding | None:
    declared, (width, _) = _declared_fov_deg(focal.size[0], focal.fx), focal.size
    if declared is None or not (focal.fx <= 0 or focal.is_odd):
        return None
    return Finding(
        "focal",
        Severity.ERROR,
        f"fx = {focal.fx:.2f} pixels over an image {width} pixels wide",
        camera=focal.camera,
        expected=f"{width / 2 / math.tan(math.radians(declared) / 2):.2f} pixels, if the "
        f"field of view is {declared:.0f} degrees",
        cause="w / (2 tan(fov) pi / 360): the tangent of degrees read as radians, a known "
        "defect of CARLA's native ROS 2 interface",
        fix="use bev's carla_adapter_node (docs/carla.md), or correct CameraInfo",
    )


def _not_positive(focal: _Focal) -> Finding | None:
    if focal.fx > 0 and focal.fy > 0:
        return None
    return Finding(
        "focal",
        Severity.ERROR,
        f"fx = {focal.fx:g}, fy = {focal.fy:g} pixels",
        camera=focal.camera,
        expected="positive focal lengths in pixels",
        cause="a mirrored or wrongly filled CameraInfo",
        fix=_CALIBRATE,
    )


def _of_other_size(focal: _Focal) -> Finding | None:
    (width, height), (cx, cy) = focal.size, focal.matrix[:2, 2]
    scale = _other_size(focal.matrix, focal.size)
    if scale is None:
        return None
    return Finding(
        "focal",
        Severity.ERROR,
        f"fx = {focal.fx:.1f} and principal point ({cx:.0f}, {cy:.0f}) in "
        f"an image of {width}x{height}: a field of view of {focal.fov_deg:.0f} degrees",
        camera=focal.camera,
        expected=f"fx = {focal.fx / scale:.1f}, principal point ({cx / scale:.0f}, "
        f"{cy / scale:.0f})",
        cause=f"k is of an image of about {round(width * scale)}x{round(height * scale)}: the "
        f"images (or width and height alone) were scaled and k was not",
        fix="scale k and p with the image (image_proc's resize does both), or calibrate "
        "in the size that is published",
    )


def _odd_view(focal: _Focal) -> Finding | None:
    if not focal.is_odd:
        return None
    low, high = FIELDS_OF_VIEW_DEG
    return Finding(
        "focal",
        Severity.ERROR,
        f"fx = {focal.fx:.1f} over {focal.size[0]} pixels is a field of view of "
        f"{focal.fov_deg:.1f} degrees",
        camera=focal.camera,
        expected=f"{low:.0f} to {high:.0f} degrees for a camera on a vehicle, or a fisheye model",
        cause="a focal length in millimetres, of another image size, or of a calibration "
        "that failed",
        fix=_CALIBRATE,
    )


def _not_square(focal: _Focal) -> Finding | None:
    if 1 / MAX_FOCAL_RATIO < focal.fx / focal.fy < MAX_FOCAL_RATIO:
        return None
    return Finding(
        "focal",
        Severity.ERROR,
        f"fx = {focal.fx:.1f} and fy = {focal.fy:.1f} pixels",
        camera=focal.camera,
        expected="nearly equal ones, as pixels are square",
        cause="an image that was stretched, width and height exchanged, or a calibration "
        "that failed",
        fix=_CALIBRATE,
    )


def check_principal_point(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """The principal point lies near the middle."""
    for name, _, matrix, (width, height) in _matrices(seen, so_far):
        if so_far.has_error("focal", camera=name):
            continue
        cx, cy = float(matrix[0, 2]), float(matrix[1, 2])
        off = max(abs(cx - (width - 1) / 2) / width, abs(cy - (height - 1) / 2) / height)
        odd, wrong = CENTER_SHARE
        if off <= odd:
            continue
        yield Finding(
            "principal-point",
            Severity.ERROR if off > wrong else Severity.WARNING,
            f"principal point ({cx:.1f}, {cy:.1f}) in an image of {width}x{height}",
            camera=name,
            expected=f"near ({(width - 1) / 2:.1f}, {(height - 1) / 2:.1f})",
            cause="an image that is cropped without its CameraInfo, k of another size, cx and cy "
            "exchanged, or a calibration that failed",
            fix="set roi in CameraInfo where the driver crops; else " + _CALIBRATE,
        )


def check_distortion(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """The lens model is known, one-to-one inside the image, and bends as lenses do."""
    for name, track, _, _ in _matrices(seen, so_far):
        if so_far.has_error("focal", "principal-point", camera=name):
            continue
        placed = seen.rig_cameras.get(name)
        camera = placed.camera if placed is not None else _camera(track)
        if isinstance(camera, str):
            yield Finding(
                "distortion",
                Severity.ERROR,
                camera,
                camera=name,
                expected=f"one of {_MODELS} with its number of coefficients",
                cause="a calibration tool with another name for its model, or half a calibration",
                fix="name the model as sensor_msgs/CameraInfo does; convert the coefficients",
            )
        elif camera.is_distorted:
            yield from _bends(name, camera)


def _bends(name: str, camera: PinholeCamera) -> Iterator[Finding]:
    columns = np.linspace(-0.5, camera.width - 0.5, _GRID)
    rows = np.linspace(-0.5, camera.height - 0.5, _GRID)
    pixels = np.stack(np.meshgrid(columns, rows), axis=-1)
    rays = camera.unproject(pixels)
    lost = float(np.isnan(rays[..., 0]).mean())
    coefficients = ", ".join(f"{value:.4g}" for value in camera.distortion)
    text = f"{camera.distortion_model} ({coefficients})"
    wide = camera.distortion_model == "equidistant"
    if lost > 0 and not wide:
        yield Finding(
            "distortion",
            Severity.ERROR,
            f"{text}: {100 * max(lost, 0.001):.1f} % of the image lies beyond where the model "
            f"folds back",
            camera=name,
            expected="a model that is one-to-one all over the image",
            cause="coefficients of another lens or in another order, or a calibration without "
            "points near the corners",
            fix="calibrate again with the board in the corners; k1, k2, p1, p2, k3 is the order",
        )
        return
    straight, valid = camera.undistorted().project(rays)
    shift = np.linalg.norm(straight - pixels, axis=-1) / (np.hypot(camera.width, camera.height) / 2)
    worst = float(np.nanmax(np.where(valid, shift, np.nan))) if valid.any() else 0.0
    if worst > LARGE_BEND and not wide:
        yield Finding(
            "distortion",
            Severity.WARNING,
            f"{text} moves the border of the image by {100 * worst:.0f} % of half its diagonal",
            camera=name,
            expected=f"less than {100 * LARGE_BEND:.0f} %; wider lenses need the equidistant model",
            cause="coefficients of another lens or of another image size, or a fisheye that was "
            "calibrated with a model for narrow lenses",
            fix="calibrate with the model of the lens (equidistant for a fisheye)",
        )


def _matrices(
    seen: Observation, so_far: Findings
) -> Iterator[tuple[str, CameraTrack, np.ndarray, tuple[int, int]]]:
    """(camera, track, intrinsic matrix, size of the images) of cameras whose size is right."""
    for name, track in seen.cameras.items():
        if so_far.has_error("camera-info", "size", camera=name):
            continue
        placed = seen.rig_cameras.get(name)
        if placed is not None:
            size = placed.camera.width, placed.camera.height
            yield name, track, placed.camera.matrix, size
        elif track.info.changes:
            message = track.info.changes[0][1]
            values = message.p if track.topics.rectified else message.k
            matrix = np.asarray(values, np.float64).reshape(3, -1)[:, :3]
            yield name, track, matrix, (int(message.width), int(message.height))


def _other_size(matrix: np.ndarray, size: tuple[int, int]) -> float | None:
    """By how much larger the image was that k belongs to; None where k fits this one.

    A principal point that is off the middle by the same factor along both axes.
    """
    scale_x = (float(matrix[0, 2]) + 0.5) / (size[0] / 2)
    scale_y = (float(matrix[1, 2]) + 0.5) / (size[1] / 2)
    if scale_x <= 0 or abs(scale_x / scale_y - 1) > 0.08 or 0.75 < scale_x < 1.3:
        return None
    return scale_x


def _declared_fov_deg(width: int, fx: float) -> float | None:
    """The whole number of degrees from which the tangent of degrees makes this fx."""
    for degrees in range(20, 161):
        wrong = tan_of_degrees(width, float(degrees))
        if abs(fx - wrong) <= 1e-3 * abs(wrong):
            return float(degrees)
    return None


def _model(track: CameraTrack) -> str:
    return str(track.info.changes[0][1].distortion_model)


def _camera(track: CameraTrack) -> PinholeCamera | str:
    """The camera of a CameraInfo whose mounting is unknown, or why it makes none."""
    topics, message = track.topics, track.info.changes[0][1]
    try:
        found = calibration_from_message(message, topics.camera_info_topic, topics.rectified)
    except CalibrationError as error:
        return str(error).removeprefix(f"{topics.camera_info_topic}: ")
    return found.camera
