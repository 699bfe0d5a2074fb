# SPDX-License-Identifier: Apache-2.0
"""Augmented images, calibrations and boxes still agree with each other."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.datasets.prepared_bag import Sample
from bev_perception.geometry import ObjectBox, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.training.augmentation import (
    AugmentationConfig,
    augmented,
    mirrored,
    turned,
    without_cameras,
)
from bev_perception.training.views import drawn_turns, with_turned_cameras

DISTORTIONS = {
    "none": ("none", ()),
    "plumb_bob": ("plumb_bob", (-0.2, 0.05, 0.004, -0.006, 0.01)),
    "rational": ("rational_polynomial", (0.1, 0.02, 0.003, -0.004, 0.01, 0.2, 0.03, 0.01)),
    "fisheye": ("equidistant", (0.02, -0.01, 0.003, -0.001)),
}


def a_sample(distortion="none"):
    random = np.random.default_rng(5)
    model, coefficients = DISTORTIONS[distortion]
    cameras = {}
    for name, yaw in {"front": 0.0, "left": 95.0, "odd": -130.0}.items():
        camera = PinholeCamera(
            64, 48, np.array([[40.0, 0.3, 29.0], [0, 41.0, 25.5], [0, 0, 1]]), model, coefficients
        )
        body = RigidTransform.from_euler(0.03, 0.1, np.radians(yaw), (1.0, 0.4, 1.6))
        cameras[name] = RigCamera(camera, body @ BODY_T_OPTICAL)
    objects = tuple(
        ObjectBox(
            "car",
            number,
            RigidTransform.from_euler(0.02, -0.03, yaw, (x, y, 0.8)),
            np.array([4.5, 1.8, 1.5]),
            velocity=np.array([2.0, 1.0, 0.1]),
        )
        for number, (x, y, yaw) in enumerate([(9, 3, 0.5), (-4, 9, 2.0), (-6, -8, -1.0)])
    )
    images = random.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    return Sample(images, np.ones(3, dtype=bool), Rig(cameras), objects)


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_mirrored_corners_fall_on_flipped_pixels(distortion):
    sample = a_sample(distortion)
    other = mirrored(sample)
    compared = 0
    for name in sample.rig.names:
        for box, mirrored_box in zip(sample.objects, other.objects):
            pixels, valid = sample.rig[name].project(box.corners)
            flipped, flipped_valid = other.rig[name].project(mirrored_box.corners)
            # The corners change places: left ones become right ones.
            order = [3, 2, 1, 0, 7, 6, 5, 4]
            assert (valid == flipped_valid[order]).all()
            np.testing.assert_allclose(
                flipped[order][valid], [63, 0] + pixels[valid] * [-1, 1], atol=1e-6
            )
            compared += int(valid.sum())
    assert compared > 20


def test_mirrored_images_are_flipped_and_their_velocities_turn():
    sample = a_sample()
    other = mirrored(sample)
    assert (other.images == sample.images[:, :, ::-1]).all()
    np.testing.assert_allclose(other.objects[0].velocity, [2.0, -1.0, 0.1])
    assert other.objects[0].pose.yaw == pytest.approx(-0.5, abs=1e-2)


def test_mirroring_twice_changes_nothing():
    sample = a_sample("plumb_bob")
    again = mirrored(mirrored(sample))
    assert (again.images == sample.images).all()
    for name in sample.rig.names:
        assert again.rig[name].base_T_camera.is_close(sample.rig[name].base_T_camera)
        assert np.allclose(again.rig[name].camera.matrix, sample.rig[name].camera.matrix)
        assert again.rig[name].camera.distortion == sample.rig[name].camera.distortion
    for box, original in zip(again.objects, sample.objects):
        assert box.pose.is_close(original.pose)


def test_turning_keeps_every_projection():
    sample = a_sample()
    other = turned(sample, 0.7)
    assert other.objects[0].center[:2] != pytest.approx(sample.objects[0].center[:2])
    for name in sample.rig.names:
        for box, turned_box in zip(sample.objects, other.objects):
            before, _ = sample.rig[name].project(box.corners)
            after, _ = other.rig[name].project(turned_box.corners)
            np.testing.assert_allclose(after, before, atol=1e-6)


def test_lost_cameras_are_black_and_not_present_and_the_file_stays_as_it_is():
    sample = a_sample()
    sample.images.setflags(write=False)
    other = without_cameras(sample, np.array([False, True, False]))
    assert other.present.tolist() == [True, False, True]
    assert not other.images[1].any()
    assert sample.images[1].any()


def test_one_camera_always_stays():
    config = AugmentationConfig(camera_dropout=0.99)
    random = np.random.default_rng(0)
    assert all(augmented(a_sample(), config, random).present.any() for _ in range(50))


def test_the_same_random_state_draws_the_same_variation_and_another_one_another():
    config = AugmentationConfig(turn_steps=8, camera_dropout=0.1)
    first, second, third = (
        augmented(a_sample(), config, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (first.images == second.images).all()
    assert not (first.images == third.images).all()


def test_without_any_variation_the_sample_stays():
    config = AugmentationConfig(
        mirror=False, brightness=0.0, contrast=0.0, gamma=0.0, tint=0.0, camera_dropout=0.0
    )
    sample = a_sample()
    assert (augmented(sample, config, np.random.default_rng(0)).images == sample.images).all()


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_a_turned_camera_shows_a_point_where_its_new_extrinsics_say(distortion):
    """A bright spot at a point's old pixel is found at its new one."""
    sample = a_sample(distortion)
    turns = drawn_turns(variant=3, num_cameras=3, angle_deg=4.0)
    random = np.random.default_rng(8)
    columns, rows = np.meshgrid(np.arange(64), np.arange(48))
    checked = 0
    for index, name in enumerate(sample.rig.names):
        pixel = random.uniform([16, 14], [47, 33])
        entry = sample.rig[name]
        point = entry.base_T_camera.apply(12.0 * entry.camera.unproject(pixel))
        squared = (columns - pixel[0]) ** 2 + (rows - pixel[1]) ** 2
        sample.images[index] = np.rint(250 * np.exp(-squared / (2 * 2.0**2)))[..., None]
        other = with_turned_cameras(sample, turns)
        expected, _ = other.rig[name].project(point)
        weights = other.images[index, ..., 0].astype(float)
        found = [(weights * grid).sum() / weights.sum() for grid in (columns, rows)]
        np.testing.assert_allclose(found, expected, atol=0.15)
        checked += int(np.linalg.norm(expected - pixel) > 1.0)
    assert checked >= 2


def test_turns_are_few_and_come_again():
    assert drawn_turns(2, 4, 1.0) == drawn_turns(2, 4, 1.0)
    assert drawn_turns(2, 4, 1.0) != drawn_turns(3, 4, 1.0)
    assert np.degrees(np.abs(drawn_turns(2, 4, 1.0))).max() <= 1.0
