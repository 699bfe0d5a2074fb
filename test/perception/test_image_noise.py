# SPDX-License-Identifier: Apache-2.0
"""Noise is told apart from scenes, whatever their size and light."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bev_perception.bags import BagReader
from bev_perception.perception.image_noise import is_noise


def noise(height: int, width: int, spread: float = 80.0) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.clip(random.normal(128, spread, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (448, 672), (1080, 1920)])
def test_noise_of_any_size(height: int, width: int) -> None:
    assert is_noise(noise(height, width))


@pytest.mark.parametrize("width", [400, 96])
@pytest.mark.parametrize("gain", [1.0, 0.2])
def test_real_images_are_none_by_day_and_when_dark(
    keyframe_images: list[np.ndarray], width: int, gain: float
) -> None:
    random = np.random.default_rng(0)
    for image in keyframe_images:
        height = image.shape[0] * width // image.shape[1]
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        grain = random.normal(0, 8, small.shape)
        assert not is_noise(np.clip(gain * small + grain, 0, 255).astype(np.uint8))


def test_calm_and_tiny_images_are_none() -> None:
    assert not is_noise(noise(64, 96, spread=4.0)), "a dark scene's grain"
    assert not is_noise(np.zeros((64, 96, 3), np.uint8))
    assert not is_noise(noise(2, 3))


@pytest.fixture(scope="module")
def keyframe_images() -> list[np.ndarray]:
    path = Path(__file__).parents[3] / "shared" / "data" / "nuscenes_keyframe"
    if not path.exists():
        pytest.skip("the real keyframe is not here")
    with BagReader(path) as reader:
        return [frame.image for frame in reader.camera_frames()]
