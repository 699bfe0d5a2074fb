# SPDX-License-Identifier: Apache-2.0
"""CameraInfo: what it means for the images beside it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.bags.camera_info import calibration_from_message, camera_to_message
from bev_perception.errors import CalibrationError
from bev_perception.geometry import PinholeCamera, RigidTransform

TOPIC = "/camera/front/camera_info"
CAMERA = PinholeCamera.from_intrinsics(640, 480, 500.0, 510.0, 320.5, 239.0)


def info(**changes):
    """A CameraInfo of CAMERA with some fields replaced."""
    message = camera_to_message(CAMERA, 1, "front_optical_frame")
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("none", ()),
        ("plumb_bob", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("rational_polynomial", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)),
        ("equidistant", (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_every_lens_model_comes_back(model: str, d: tuple[float, ...]) -> None:
    camera = PinholeCamera(640, 480, CAMERA.matrix, model, d)
    read = calibration_from_message(camera_to_message(camera, 1, "/cam"), TOPIC)
    assert (read.camera.distortion_model, read.camera.distortion) == (model, d)
    assert read.frame_id == "cam"
    np.testing.assert_array_equal(read.camera.matrix, camera.matrix)


@pytest.mark.parametrize(
    ("model", "d"), [("", []), ("", [0.0] * 5), ("plumb_bob", []), ("plumb_bob", [0.0] * 8)]
)
def test_no_coefficients_or_all_zero_ones_are_an_ideal_lens(model: str, d: list[float]) -> None:
    read = calibration_from_message(info(distortion_model=model, d=np.array(d)), TOPIC)
    assert not read.camera.is_distorted
    assert read.camera.distortion_model == "none"


@pytest.mark.parametrize(
    ("model", "taken", "zeros"),
    [("rational_polynomial", 8, 6), ("plumb_bob", 5, 3), ("equidistant", 4, 1)],
)
def test_zeros_behind_the_coefficients_of_a_lens_are_dropped(
    model: str, taken: int, zeros: int
) -> None:
    d = np.array([0.1] * taken + [0.0] * zeros)
    read = calibration_from_message(info(distortion_model=model, d=d), TOPIC)
    assert (read.camera.distortion_model, read.camera.distortion) == (model, (0.1,) * taken)


@pytest.mark.parametrize(
    ("model", "d", "words"),
    [
        ("", [0.1] * 5, "distortion_model is empty"),
        ("plumb_bob", [0.1] * 3, "coefficients, got 3"),
        ("omnidirectional", [0.1], "unknown distortion model 'omnidirectional'"),
        ("rational_polynomial", [0.1] * 14, "got 14"),
        ("plumb_bob", [0.1] * 5 + [0.0, 0.0, 0.1], "got 8"),
    ],
)
def test_impossible_lenses_name_the_topic(model: str, d: list[float], words: str) -> None:
    with pytest.raises(CalibrationError, match=f"{TOPIC}: .*{words}"):
        calibration_from_message(info(distortion_model=model, d=np.array(d)), TOPIC)


def test_k0_zero_says_that_the_camera_is_not_calibrated() -> None:
    with pytest.raises(CalibrationError, match=rf"{TOPIC}: k\[0\] = 0 .* never calibrated"):
        calibration_from_message(info(k=np.zeros(9)), TOPIC)


def test_a_region_of_interest_and_binning_move_a_point_as_they_move_its_pixel() -> None:
    message = info(binning_x=2, binning_y=4)
    roi = message.roi
    roi.x_offset, roi.y_offset, roi.width, roi.height = 100, 40, 400, 200
    camera = calibration_from_message(message, TOPIC).camera
    assert (camera.width, camera.height) == (200, 50)
    point = np.array([0.1, -0.05, 1.0])
    (u, v), _ = CAMERA.project(point)
    (binned_u, binned_v), _ = camera.project(point)
    # pixel centres are integers: the middle of full pixels 0 and 1 is binned pixel 0
    assert binned_u == pytest.approx((u - 100 + 0.5) / 2 - 0.5)
    assert binned_v == pytest.approx((v - 40 + 0.5) / 4 - 0.5)


def test_a_region_outside_the_image_is_refused() -> None:
    message = info()
    message.roi.x_offset, message.roi.width, message.roi.height = 600, 100, 10
    with pytest.raises(CalibrationError, match=r"100x10 at \(600, 0\) exceeds .* 640x480"):
        calibration_from_message(message, TOPIC)


def test_a_rectified_image_is_ideal_with_p_in_the_frame_turned_by_r() -> None:
    turn = RigidTransform.from_euler(yaw=0.1).rotation
    p = np.array([[400.0, 0, 300, 0], [0, 400, 200, 0], [0, 0, 1, 0]])
    message = info(
        distortion_model="plumb_bob", d=np.full(5, 0.1), r=turn.reshape(-1), p=p.reshape(-1)
    )
    read = calibration_from_message(message, TOPIC, rectified=True)
    np.testing.assert_array_equal(read.camera.matrix, p[:, :3])
    assert not read.camera.is_distorted
    np.testing.assert_allclose(read.camera_T_image.rotation, turn.T)
