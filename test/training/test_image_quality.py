# SPDX-License-Identifier: Apache-2.0
"""Worse images: each degradation does its own harm and no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from augmentation_samples import a_sample

from bev_perception.errors import ConfigurationError
from bev_perception.training.image_quality import (
    ImageQualityConfig,
    blurred,
    compressed,
    degraded,
    exposed,
    noisy,
)

SMOOTH = np.broadcast_to(np.linspace(40, 200, 64), (48, 64))[..., None].repeat(3, -1)
SMOOTH = np.rint(SMOOTH).astype(np.uint8)


def roughness(image):
    return float(np.abs(np.diff(image.astype(float), axis=1)).mean())


def test_blur_smooths_and_keeps_the_mean():
    image = a_sample().images[0]
    other = blurred(image, 1.5)
    assert roughness(other) < 0.4 * roughness(image)
    assert other.mean() == pytest.approx(image.mean(), abs=2.0)
    assert (blurred(image, 0.0) == image).all()


def test_exposure_counts_in_stops_of_light():
    image = np.full((2, 2, 3), 100, dtype=np.uint8)
    twice = exposed(image, 1.0)
    assert twice[0, 0, 0] == round(100 * 2 ** (1 / 2.2))
    assert (exposed(twice, -1.0) == image).all()
    assert exposed(np.full((1, 1, 3), 250, np.uint8), 2.0).max() == 255


@pytest.mark.parametrize("start", [0, 77, (1 << 21) - 5])
def test_noise_has_the_deviation_that_is_asked_for(start):
    difference = noisy(SMOOTH, 0.04, start).astype(float) - SMOOTH
    assert difference.std() == pytest.approx(0.04 * 255, rel=0.05)
    assert abs(difference.mean()) < 0.5


def test_compression_keeps_colours_apart_and_loses_detail():
    red = np.zeros((48, 64, 3), dtype=np.uint8)
    red[..., 0] = 200
    assert np.abs(compressed(red, 90).astype(int) - red).max() < 12
    image = a_sample().images[0]
    loss = [np.abs(compressed(image, q).astype(int) - image).mean() for q in (95, 60, 20)]
    assert loss[0] < loss[1] < loss[2]


def test_cameras_differ_missing_ones_stay_black_and_the_file_stays_as_it_is():
    sample = a_sample()
    sample = replace(sample, images=np.stack([SMOOTH] * 3), present=np.array([True, False, True]))
    sample.images[1] = 0
    before = sample.images.copy()
    config = ImageQualityConfig(1.0, blur_px=1.0, exposure_stops=1.0, noise=0.05, jpeg_quality=30)
    other = degraded(sample, config, np.random.default_rng(2))
    assert not other.images[1].any()
    assert (other.images[0] != other.images[2]).any()
    assert (sample.images == before).all()
    again = degraded(sample, config, np.random.default_rng(2))
    assert (again.images == other.images).all()
    spared = degraded(sample, replace(config, share=0.0), np.random.default_rng(2))
    assert (spared.images == before).all()


@pytest.mark.parametrize("values", [{"jpeg_quality": 99}, {"noise": -0.1}, {"share": 2.0}])
def test_degradations_that_make_no_sense_are_refused(values):
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        ImageQualityConfig(**values)
