# SPDX-License-Identifier: Apache-2.0
"""Where a 3D point lands before preparation, it lands after it."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.errors import CalibrationError
from bev_perception.geometry import (
    CameraFrame,
    FrameSet,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.perception import Preparation
from bev_perception.perception.row_layout import SKY_SHARE, horizon_row

SIZES = [
    pytest.param((448, 672), (224, 336), id="half"),
    pytest.param((900, 1600), (224, 336), id="nuscenes, rows added"),
    pytest.param((481, 643), (224, 336), id="odd, rows cropped"),
    pytest.param((601, 599), (224, 336), id="square, rows cropped"),
    pytest.param((131, 201), (224, 336), id="enlarged"),
    pytest.param((224, 336), (224, 336), id="same"),
    pytest.param((260, 336), (224, 336), id="same width, rows cropped"),
    pytest.param((180, 336), (224, 336), id="same width, rows added"),
]


def mounted(camera: PinholeCamera, yaw_deg: float = 0.0, pitch_deg: float = 0.0) -> RigCamera:
    body = RigidTransform.from_euler(
        pitch=np.radians(pitch_deg), yaw=np.radians(yaw_deg), translation=(1.0, 0.2, 1.6)
    )
    return RigCamera(camera, body @ BODY_T_OPTICAL)


def picture_of_point(entry: RigCamera, point: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian dot at the point's exact, sub-pixel projection."""
    (u, v), valid = entry.project(point)
    assert valid
    columns, rows = np.meshgrid(np.arange(entry.camera.width), np.arange(entry.camera.height))
    dot = 250.0 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * sigma**2))
    return np.repeat(np.round(dot)[..., None], 3, axis=2).astype(np.uint8)


def centroid(image: np.ndarray) -> np.ndarray:
    weights = image[..., 0].astype(np.float64)
    rows, columns = np.indices(weights.shape)
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@pytest.mark.parametrize(("source_size", "image_size"), SIZES)
@pytest.mark.parametrize("distortion", [(), (-0.12, 0.02, 0.001, -0.001)])
def test_a_bright_point_lands_where_the_prepared_rig_projects_it(
    source_size, image_size, distortion
):
    height, width = source_size
    ideal = PinholeCamera.from_field_of_view(width, height, 80.0)
    model = "plumb_bob" if distortion else "none"
    camera = PinholeCamera(width, height, ideal.matrix, model, distortion)
    entry = mounted(camera, yaw_deg=30.0, pitch_deg=4.0)
    preparation = Preparation(Rig({"front": entry}), image_size)
    body_T_base = RigidTransform.from_euler(yaw=np.radians(30.0)).inverse()
    sigma = 2.5 * max(1.0, width / image_size[1])
    for ahead, left, height_above in ((12.0, 0.0, 1.2), (10.0, 4.3, 0.3), (9.0, -4.9, 1.9)):
        point = body_T_base.inverse().apply([ahead, left, height_above])
        image = picture_of_point(entry, point, sigma)
        frame_set = FrameSet(0, {"front": CameraFrame("front", 0, image)})
        prepared = preparation.prepare(frame_set)
        assert prepared.images.shape == (1, *image_size, 3)
        pixel, _ = preparation.rig["front"].project(point)
        np.testing.assert_allclose(centroid(prepared.images[0]), pixel, atol=0.05)


@pytest.mark.parametrize(("source_size", "image_size"), SIZES)
def test_the_prepared_camera_has_the_size_and_the_whole_horizontal_view(source_size, image_size):
    camera = PinholeCamera.from_field_of_view(source_size[1], source_size[0], 80.0)
    prepared = Preparation(Rig({"front": mounted(camera)}), image_size).rig["front"].camera
    assert (prepared.height, prepared.width) == image_size
    assert prepared.horizontal_fov_deg == pytest.approx(80.0)


@pytest.mark.parametrize("pitch_deg", [-10.0, 0.0, 15.0])
def test_cropping_keeps_a_quarter_above_the_horizon_if_there_is_as_much(pitch_deg):
    camera = PinholeCamera.from_field_of_view(600, 900, 60.0)
    prepared = Preparation(Rig({"front": mounted(camera, pitch_deg=pitch_deg)}), (192, 320))
    row = horizon_row(prepared.rig["front"])
    assert row == pytest.approx(SKY_SHARE * 192, abs=1.0)


def test_cropping_never_reaches_beyond_the_image():
    camera = PinholeCamera.from_field_of_view(600, 450, 60.0)
    for pitch_deg in (-25.0, 0.0, 25.0, 90.0):
        preparation = Preparation(Rig({"x": mounted(camera, pitch_deg=pitch_deg)}), (192, 320))
        assert not preparation.adds_rows
        assert 0 <= preparation.layouts["x"].top <= 240 - 192


def test_added_rows_repeat_the_edges_and_are_split_above_and_below():
    camera = PinholeCamera.from_field_of_view(1600, 900, 70.0)
    preparation = Preparation(Rig({"front": mounted(camera)}), (224, 336))
    image = np.full((900, 1600, 3), 255, dtype=np.uint8)
    image[:9], image[-9:] = 20, 40
    buffer = preparation.empty_images()
    buffer[:] = 77
    frame_set = FrameSet(0, {"front": CameraFrame("front", 0, image)})
    found = preparation.prepare(frame_set, buffer).images[0]
    above, below = ((found == level).all(axis=(1, 2)) for level in (20, 40))
    assert above.sum() + below.sum() >= 224 - 189
    assert abs(int(above.sum()) - int(below.sum())) <= 1
    assert above[: above.sum()].all()
    assert below[-below.sum() :].all()
    assert preparation.adds_rows


def test_an_image_of_the_right_size_passes_through_unchanged():
    camera = PinholeCamera.from_field_of_view(336, 224, 100.0)
    entry = mounted(camera)
    preparation = Preparation(Rig({"front": entry}), (224, 336))
    image = np.random.default_rng(0).integers(0, 256, (224, 336, 3), dtype=np.uint8)
    prepared = preparation.prepare(FrameSet(0, {"front": CameraFrame("front", 0, image)}))
    np.testing.assert_array_equal(prepared.images[0], image)
    np.testing.assert_array_equal(preparation.rig["front"].camera.matrix, camera.matrix)


def test_images_stand_in_rig_order_and_missing_cameras_are_black():
    camera = PinholeCamera.from_field_of_view(8, 4, 90.0)
    rig = Rig({name: mounted(camera) for name in ("front", "left", "rear")})
    preparation = Preparation(rig, (4, 8))
    frames = {
        name: CameraFrame(name, 0, np.full((4, 8, 3), value, dtype=np.uint8))
        for name, value in (("rear", 30), ("front", 10))
    }
    buffer = preparation.empty_images()
    buffer[:] = 99
    prepared = preparation.prepare(FrameSet(0, frames, ("left",)), buffer)
    assert prepared.images[:, 0, 0, 0].tolist() == [10, 0, 30]
    assert prepared.present.tolist() == [True, False, True]
    assert prepared.images is buffer


def test_each_call_gives_its_own_images_unless_a_buffer_is_given():
    camera = PinholeCamera.from_field_of_view(8, 4, 90.0)
    preparation = Preparation(Rig({"front": mounted(camera)}), (4, 8))
    first, second = (
        preparation.prepare(
            FrameSet(0, {"front": CameraFrame("front", 0, np.full((4, 8, 3), value, np.uint8))})
        )
        for value in (1, 2)
    )
    assert first.images.max() == 1
    assert second.images.max() == 2


def test_a_size_other_than_the_calibrated_one_is_refused_with_both_sizes():
    camera = PinholeCamera.from_field_of_view(672, 448, 100.0)
    preparation = Preparation(Rig({"rear": mounted(camera)}), (224, 336))
    image = np.zeros((480, 640, 3), dtype=np.uint8)
    with pytest.raises(CalibrationError, match=r"camera rear.*640x480.*672x448"):
        preparation.prepare(FrameSet(0, {"rear": CameraFrame("rear", 0, image)}))


def test_a_camera_that_the_rig_lacks_is_refused_by_name():
    camera = PinholeCamera.from_field_of_view(8, 4, 90.0)
    preparation = Preparation(Rig({"rear": mounted(camera)}), (4, 8))
    frame = CameraFrame("roof", 0, np.zeros((4, 8, 3), dtype=np.uint8))
    with pytest.raises(CalibrationError, match=r"roof.*only rear"):
        preparation.prepare(FrameSet(0, {"roof": frame}))
