# SPDX-License-Identifier: Apache-2.0
"""A rig told wrong: the calibration changes within its bounds, images and labels do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from augmentation_samples import a_sample

from bev_perception.errors import ConfigurationError
from bev_perception.training.augmentation import AugmentationConfig, augmented
from bev_perception.training.miscalibration import MiscalibrationConfig, miscalibrated

PLAIN = AugmentationConfig(mirror=False, brightness=0.0, contrast=0.0, gamma=0.0, tint=0.0)


def errors(sample, told):
    """Per camera told_T_true."""
    return [
        told.rig[name].base_T_camera @ sample.rig[name].base_T_camera.inverse()
        for name in sample.rig.names
    ]


def test_an_unknown_pitch_is_one_small_motion_of_the_whole_vehicle():
    sample = a_sample()
    config = MiscalibrationConfig(pitch_deg=2.0, height_m=0.1)
    pitches = []
    for seed in range(60):
        told = miscalibrated(sample, config, np.random.default_rng(seed))
        first, *others = errors(sample, told)
        assert all(other.is_close(first, 1e-9, 1e-9) for other in others)
        roll, pitch, yaw = first.euler
        assert (roll, yaw) == pytest.approx((0.0, 0.0))
        assert abs(first.translation[2]) <= 0.1
        pitches.append(np.degrees(pitch))
    assert max(np.abs(pitches)) <= 2.0
    assert np.ptp(pitches) > 3.0


def test_images_and_labels_stay_true():
    sample = a_sample()
    config = replace(PLAIN, miscalibration=MiscalibrationConfig(pitch_deg=2.0, camera_deg=1.0))
    told = augmented(sample, config, np.random.default_rng(1))
    assert (told.images == sample.images).all()
    assert told.objects == sample.objects
    assert told.rig != sample.rig


def test_cameras_err_each_on_their_own():
    sample = a_sample()
    config = MiscalibrationConfig(camera_deg=1.0, camera_m=0.05, focal=0.03)
    told = miscalibrated(sample, config, np.random.default_rng(3))
    for name, error in zip(sample.rig.names, errors(sample, told)):
        true, wrong = sample.rig[name], told.rig[name]
        moved = wrong.base_T_camera.translation - true.base_T_camera.translation
        assert 0.0 < np.abs(moved).max() <= 0.05
        angle = np.arccos((np.trace(error.rotation) - 1.0) / 2.0)
        assert 0.0 < np.degrees(angle) <= 1.0 * np.sqrt(3.0)
        focal = wrong.camera.fx / true.camera.fx
        assert 0.0 < abs(focal - 1.0) <= 0.03
        assert wrong.camera.cx == true.camera.cx
    first, second, _ = errors(sample, told)
    assert not first.is_close(second)


def test_a_share_of_the_samples_is_told_the_truth():
    sample = a_sample()
    config = MiscalibrationConfig(share=0.5, pitch_deg=2.0)
    true = [
        miscalibrated(sample, config, np.random.default_rng(seed)).rig == sample.rig
        for seed in range(200)
    ]
    assert 70 < sum(true) < 130


@pytest.mark.parametrize("values", [{"share": 1.5}, {"pitch_deg": 90.0}, {"height_m": -0.1}])
def test_errors_beyond_reason_are_refused(values):
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        MiscalibrationConfig(**values)
