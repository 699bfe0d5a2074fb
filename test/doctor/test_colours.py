# SPDX-License-Identifier: Apache-2.0
"""Swapped red and blue: told by foliage, and only where all that is seen agrees."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.doctor.colour_check import Colours, swapped_cameras

GREY_SKY, BLUE_SKY, SUNSET = (190, 190, 192), (130, 170, 230), (230, 170, 120)
LEAVES, TEAL = (80, 120, 50), (30, 110, 90)
CAMERAS = ("front", "left", "rear", "right")


def scene(sky: tuple[int, ...], green: tuple[int, ...], share: float = 0.1) -> np.ndarray:
    """Sky above a road, something green beside it, and noise."""
    image = np.empty((120, 160, 3))
    image[:50], image[50:] = sky, (100, 100, 104)
    image[50 : 50 + round(120 * share)] = green
    return np.clip(image + np.random.default_rng(1).normal(0, 3, image.shape), 0, 255).astype(
        np.uint8
    )


def judged(image: np.ndarray, swapped: tuple[str, ...] = (), moments: int = 8) -> list[str]:
    """Of four cameras that see it, some with swapped channels."""
    return swapped_cameras(
        {
            name: Colours.of([image[..., ::-1] if name in swapped else image] * moments)
            for name in CAMERAS
        }
    )


@pytest.mark.parametrize("sky", [GREY_SKY, BLUE_SKY, SUNSET], ids=["grey", "blue", "sunset"])
def test_sound_colours_are_left_alone(sky: tuple[int, ...]) -> None:
    assert judged(scene(sky, LEAVES)) == []


@pytest.mark.parametrize("sky", [GREY_SKY, BLUE_SKY], ids=["grey", "blue"])
def test_swapped_channels_of_all_cameras_are_found(sky: tuple[int, ...]) -> None:
    assert judged(scene(sky, LEAVES), CAMERAS) == [""]


def test_one_swapped_camera_is_named() -> None:
    assert judged(scene(GREY_SKY, LEAVES), ("rear",)) == ["rear"]


@pytest.mark.parametrize(
    ("image", "swapped", "moments"),
    [
        (scene(BLUE_SKY, TEAL), (), 8),
        (scene(SUNSET, LEAVES), CAMERAS, 8),
        (scene(GREY_SKY, LEAVES, 0.0), CAMERAS, 8),
        (scene(GREY_SKY, LEAVES), CAMERAS, 1),
        (scene(GREY_SKY, LEAVES).mean(axis=-1, keepdims=True).repeat(3, 2), CAMERAS, 8),
    ],
    ids=["teal below a blue sky", "orange made blue", "no foliage", "few images", "grey"],
)
def test_nothing_is_said_without_agreeing_evidence(
    image: np.ndarray, swapped: tuple[str, ...], moments: int
) -> None:
    assert judged(image, swapped, moments) == []
