# SPDX-License-Identifier: Apache-2.0
"""Which images cannot be used, and what is said about them."""

from __future__ import annotations

import numpy as np

from bev_perception.geometry import CameraFrame, PinholeCamera, RigCamera, RigidTransform
from bev_perception.perception import camera_health

CAMERA = RigCamera(PinholeCamera.from_field_of_view(672, 448, 100.0), RigidTransform.identity())


def frame(image: np.ndarray) -> CameraFrame:
    return CameraFrame("front", 0, image)


def constant(*rgb: int) -> np.ndarray:
    return np.broadcast_to(np.array(rgb, dtype=np.uint8), (448, 672, 3)).copy()


def test_a_picture_is_healthy():
    image = np.random.default_rng(0).integers(0, 256, (448, 672, 3), dtype=np.uint8)
    health = camera_health(frame(image), CAMERA)
    assert health.ok
    assert health.cause == ""


def test_a_night_picture_with_faint_lights_is_healthy():
    image = constant(0, 0, 0)
    image[300:330, 400:430] = 6
    assert camera_health(frame(image), CAMERA).ok


def test_no_image_is_named():
    assert camera_health(None, CAMERA).cause == "no image in this set"


def test_a_black_image_is_named_even_with_noise():
    image = np.random.default_rng(0).integers(0, 3, (448, 672, 3), dtype=np.uint8)
    health = camera_health(frame(image), CAMERA)
    assert not health.ok
    assert health.cause == "image is black"


def test_an_image_of_one_colour_is_named_with_its_colour():
    health = camera_health(frame(constant(200, 10, 30)), CAMERA)
    assert not health.ok
    assert "one colour" in health.cause
    assert "200, 10, 30" in health.cause


def test_a_wrong_size_is_named_with_both_sizes():
    health = camera_health(frame(np.zeros((480, 640, 3), dtype=np.uint8)), CAMERA)
    assert not health.ok
    assert "640x480" in health.cause
    assert "672x448" in health.cause


def test_a_wrong_type_is_named():
    health = camera_health(frame(np.zeros((448, 672, 3), dtype=np.float32)), CAMERA)
    assert not health.ok
    assert "float32" in health.cause
