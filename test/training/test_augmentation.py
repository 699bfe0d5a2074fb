# SPDX-License-Identifier: Apache-2.0
"""Augmented images, calibrations and boxes still agree with each other."""

from __future__ import annotations

import numpy as np
import pytest
from augmentation_samples import DISTORTIONS, a_sample

from bev_perception.training.augmentation import (
    AugmentationConfig,
    augmented,
    mirrored,
    reordered,
    turned,
    without_cameras,
)
from bev_perception.training.miscalibration import MiscalibrationConfig
from bev_perception.training.views import ViewConfig


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


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_configured_share_of_samples_gets_other_views(share):
    views = ViewConfig(body_pitch_deg=3.0, share=share)
    config = AugmentationConfig(mirror=False, views=views)
    random = np.random.default_rng(0)
    sample = a_sample()
    turned_ones = sum(augmented(sample, config, random).rig != sample.rig for _ in range(60))
    assert abs(turned_ones - 60 * share) < 8
    assert views.changes_anything == (share > 0.0)


def test_shuffled_cameras_keep_image_and_calibration_together():
    sample = a_sample()
    sample.present[1] = False
    other = reordered(sample, np.array([2, 0, 1]))
    assert other.rig.names == ("odd", "front", "left")
    assert other.present.tolist() == [True, True, False]
    for index, name in enumerate(other.rig.names):
        assert other.rig[name] == sample.rig[name]
        assert (other.images[index] == sample.images[sample.rig.names.index(name)]).all()


def test_rigs_that_never_come_again_are_known_as_such():
    assert AugmentationConfig(turn_steps=8, camera_dropout=0.1).repeats_rigs
    assert AugmentationConfig(views=ViewConfig(zoom=0.1, variants=8)).repeats_rigs
    assert not AugmentationConfig(views=ViewConfig(zoom=0.1)).repeats_rigs
    assert not AugmentationConfig(views=ViewConfig(zoom=0.1, share=0.5)).repeats_rigs
    assert not AugmentationConfig(miscalibration=MiscalibrationConfig(pitch_deg=1.0)).repeats_rigs
