# SPDX-License-Identifier: Apache-2.0
"""Whatever is drawn, an augmented image shows a point where its calibration says."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from augmentation_samples import DISTORTIONS, a_sample
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import ObjectBox, PinholeCamera, RigidTransform
from bev_perception.training.augmentation import AugmentationConfig, augmented
from bev_perception.training.views import View, ViewConfig, drawn_views, viewed, with_views
from bev_perception.visualization import draw_boxes

EVERYTHING = AugmentationConfig(
    turn_steps=12,
    views=ViewConfig(
        turn_deg=4.0, roll_deg=8.0, body_pitch_deg=3.0, body_roll_deg=2.0, zoom=0.2, shift=0.05
    ),
    brightness=0.0,
    contrast=0.0,
    gamma=0.0,
    tint=0.0,
    shuffle_cameras=True,
)
"""All that moves anything."""

COLUMNS, ROWS = np.meshgrid(np.arange(64), np.arange(48))


def with_a_spot_per_camera(sample, random):
    """Each camera sees one bright spot, at the centre of a small object of the same number."""
    objects = []
    images = np.zeros_like(sample.images)
    for index, entry in enumerate(sample.rig.cameras.values()):
        pixel = random.uniform([24, 18], [39, 29])
        point = entry.base_T_camera.apply(12.0 * entry.camera.unproject(pixel))
        squared = (COLUMNS - pixel[0]) ** 2 + (ROWS - pixel[1]) ** 2
        images[index] = np.rint(250 * np.exp(-squared / (2 * 2.0**2)))[..., None]
        pose = RigidTransform(np.eye(3), point)
        objects.append(ObjectBox("car", index, pose, np.array([1.0, 1.0, 1.0])))
    return replace(sample, images=images, objects=tuple(objects))


def centroid(image):
    weights = image[..., 0].astype(float)
    return np.array([(weights * grid).sum() / weights.sum() for grid in (COLUMNS, ROWS)])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(DISTORTIONS)), st.integers(0, 10_000))
def test_a_known_point_is_found_where_the_augmented_calibration_projects_it(distortion, seed):
    random = np.random.default_rng(seed)
    sample = with_a_spot_per_camera(a_sample(distortion), random)
    other = augmented(sample, EVERYTHING, random)
    numbers = {name: number for number, name in enumerate(sample.rig.names)}
    for index, (name, entry) in enumerate(other.rig.cameras.items()):
        expected, valid = entry.project(other.objects[numbers[name]].center)
        assume(valid and (expected > 8).all() and (expected < (55, 39)).all())
        np.testing.assert_allclose(centroid(other.images[index]), expected, atol=0.2)


@pytest.mark.parametrize("distortion", ["none", "fisheye"])
def test_boxes_drawn_into_augmented_images_cover_boxes_drawn_before(distortion):
    """Edges drawn, then augmented, are the edges of the augmented boxes in the new camera."""
    sample = a_sample(distortion)
    black = np.zeros((48, 64, 3), dtype=np.uint8)

    def drawings(rig, objects):
        entries = rig.cameras.values()
        return np.stack([draw_boxes(black, e, objects, (255, 255, 255), 1) for e in entries])

    before = replace(sample, images=drawings(sample.rig, sample.objects))
    drawn = 0
    for seed in range(12):
        after = augmented(before, EVERYTHING, np.random.default_rng(seed))
        expected = drawings(after.rig, after.objects)
        for found, wanted in zip(after.images[..., 0], expected[..., 0]):
            near_wanted = cv2.dilate(wanted, np.ones((5, 5), np.uint8))
            assert (near_wanted[found > 100] > 100).all()
            drawn += int((found > 100).sum())
    assert drawn > 3000


def test_what_no_camera_saw_is_black_and_missing_cameras_stay_black():
    sample = a_sample()
    sample.images[:] = 200
    sample.present[2] = False
    view = View(RigidTransform.identity(), zoom=0.5)
    other = with_views(sample, [view] * 3)
    inside = other.images[0, 12:36, 16:48]
    assert (inside[1:-1, 1:-1] == 200).all()
    assert not other.images[0, :11].any()
    assert not other.images[0, :, 49:].any()
    assert not other.images[2].any()


def test_a_zoomed_view_is_the_resized_and_cropped_camera():
    camera = PinholeCamera.from_field_of_view(64, 48, 80.0)
    entry = replace(a_sample().rig["front"], camera=camera)
    found = viewed(entry, View(RigidTransform.identity(), 1.5, (0.25, -0.125)))
    expected = camera.resized(96, 72).cropped(16 - 16, 12 + 6, 64, 48)
    np.testing.assert_allclose(found.camera.matrix, expected.matrix)
    assert found.base_T_camera.is_close(entry.base_T_camera)


def test_a_pitching_body_turns_all_cameras_about_the_same_axis():
    sample = a_sample()
    views = drawn_views(sample.rig, ViewConfig(body_pitch_deg=5.0), np.random.default_rng(1))
    turns = [
        viewed(entry, view).base_T_camera.rotation @ entry.base_T_camera.rotation.T
        for entry, view in zip(sample.rig.cameras.values(), views)
    ]
    pitch = np.arcsin(-turns[0][2, 0])
    assert 0.01 < abs(pitch) < np.radians(5.0)
    for turn in turns:
        np.testing.assert_allclose(turn, RigidTransform.from_euler(pitch=pitch).rotation, atol=1e-9)


def test_few_variants_come_again_and_many_do_not():
    rig = a_sample().rig

    def draws(variants):
        config = ViewConfig(turn_deg=1.0, zoom=0.1, variants=variants)
        random = np.random.default_rng(0)
        return {drawn_views(rig, config, random)[0].zoom for _ in range(40)}

    assert len(draws(4)) == 4
    assert len(draws(0)) == 40


@pytest.mark.parametrize(
    "values", [{"zoom": 0.9}, {"turn_deg": -1.0}, {"variants": -1}, {"share": 1.5}]
)
def test_views_that_show_nothing_are_refused(values):
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        ViewConfig(**values)
