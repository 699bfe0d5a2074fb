# SPDX-License-Identifier: Apache-2.0
"""Images that show nothing, or nothing new, are told; dark and plain scenes are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bev_perception.doctor.bag_observation import observe_bag
from bev_perception.doctor.finding import Findings, Severity
from bev_perception.doctor.image_checks import check_content, check_frozen
from bev_perception.doctor.image_content import content
from bev_perception.doctor.recording import Observation
from bev_perception.geometry import TransformTree


def scene(level: float = 120.0, contrast: float = 60.0, noise: float = 2.0) -> NDArray[np.uint8]:
    """Smooth shades with some noise, as a camera sees a street."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:240, :320] / 40.0
    shades = level + contrast * np.sin(rows) * np.cos(columns)
    noisy = shades[..., None] + random.normal(0.0, noise, (240, 320, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.zeros((240, 320, 3), np.uint8), "black"),
        (np.full((240, 320, 3), 255, np.uint8), "white"),
        (np.full((240, 320, 3), (20, 90, 160), np.uint8), "of one colour"),
        (np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8), "noisy"),
        (scene(noise=25.0), "noisy"),
        (scene(level=-20.0, contrast=40.0), "nearly black"),
        (scene(level=275.0, contrast=40.0), "overexposed"),
        (scene(), ""),
        (scene(level=25.0, contrast=20.0, noise=5.0), ""),  # a night
        (scene(contrast=8.0), ""),  # fog
    ],
)
def test_what_pixels_say_of_an_image(image: NDArray[np.uint8], problem: str) -> None:
    assert content(image).problem == problem


@pytest.fixture(scope="module")
def healthy(healthy_bag: Path) -> Observation:
    return observe_bag(healthy_bag)


def with_stale_images(seen: Observation, camera: str, first: int) -> Observation:
    """From an image on, the same one comes again and again."""
    track = seen.cameras[camera]
    digests = track.digests.copy()
    digests[first:] = digests[first]
    return replace(seen, cameras={**seen.cameras, camera: replace(track, digests=digests)})


def test_a_camera_that_freezes_is_named_with_how_often(healthy: Observation) -> None:
    (finding,) = check_frozen(with_stale_images(healthy, "left", 20), Findings())
    assert (finding.camera, finding.severity) == ("left", Severity.ERROR)
    assert finding.seen.startswith("59 of 79 images")


def test_where_the_vehicle_may_stand_repeats_are_not_judged(healthy: Observation) -> None:
    unknown = replace(with_stale_images(healthy, "left", 20), tree=TransformTree())
    (finding,) = check_frozen(unknown, Findings())
    assert finding.severity is Severity.NOTE
    assert "not judged" in finding.seen


def test_a_black_camera_is_an_error_with_a_picture(healthy: Observation) -> None:
    track = healthy.cameras["rear"]
    black = tuple(_Black(sample.image().shape) for sample in track.samples)
    spoiled = replace(track, samples=black)  # type: ignore[arg-type]
    seen = replace(healthy, cameras={"rear": spoiled})
    (finding,) = check_content(seen, Findings())
    assert finding.severity is Severity.ERROR
    assert f"{len(black)} of {len(black)}" in finding.seen
    assert "black" in finding.seen
    assert finding.picture is not None


class _Black:
    """Stands for a kept image."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape

    def image(self) -> NDArray[np.uint8]:
        return np.zeros(self._shape, np.uint8)
