# SPDX-License-Identifier: Apache-2.0
"""Turned and exchanged images are recognised by how things move, and only then."""

from __future__ import annotations

import numpy as np
import pytest
from moving_scene import pairs_of, ring, step

from bev_perception.doctor.geometry_assignment import Outcome, Verdict, assign
from bev_perception.doctor.geometry_direction import Flip, agreement
from bev_perception.doctor.geometry_evidence import ImagePair
from bev_perception.doctor.geometry_residuals import mended
from bev_perception.doctor.image_tracks import Tracks

Pairs = dict[str, tuple[ImagePair, ...]]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    random = np.random.default_rng(5)
    return {name: pairs_of(entry, step(), random) for name, entry in ring().cameras.items()}


def judged(pairs: Pairs) -> dict[str, Verdict]:
    return assign(pairs, [], ring())


def turned(pairs: tuple[ImagePair, ...], flip: Flip) -> tuple[ImagePair, ...]:
    camera = ring()["front"].camera
    return tuple(
        ImagePair(
            pair.first,
            pair.second,
            Tracks(*(flip.undo_pixels(each, camera) for each in pair.corners)),
            pair.segments,
            pair.second_T_first,
            position=pair.position,
        )
        for pair in pairs
    )


def test_images_of_their_own_cameras_fit(pairs: Pairs) -> None:
    for verdict in judged(pairs).values():
        assert verdict.outcome is Outcome.FITS
        assert verdict.motion.share > 0.95


def test_exchanged_cameras_are_named_both(pairs: Pairs) -> None:
    verdicts = judged({**pairs, "left": pairs["right"], "right": pairs["left"]})
    assert verdicts["left"].outcome is verdicts["right"].outcome is Outcome.OTHER_CAMERA
    assert (verdicts["left"].mounting, verdicts["right"].mounting) == ("right", "left")
    assert verdicts["front"].outcome is verdicts["rear"].outcome is Outcome.FITS


def test_cameras_that_all_moved_on_by_one_are_told(pairs: Pairs) -> None:
    order = ("front", "left", "rear", "right")
    shifted = {name: pairs[order[(i + 1) % 4]] for i, name in enumerate(order)}
    verdicts = judged(shifted)
    for i, name in enumerate(order):
        assert verdicts[name].mounting == order[(i + 1) % 4]


@pytest.mark.parametrize("flip", [Flip.UPSIDE_DOWN, Flip.MIRRORED, Flip.MIRRORED_UPSIDE_DOWN])
def test_a_turned_side_camera_is_told(pairs: Pairs, flip: Flip) -> None:
    verdicts = judged({**pairs, "left": turned(pairs["left"], flip)})
    assert verdicts["left"].outcome is Outcome.FLIPPED
    assert verdicts["left"].flip is flip
    assert all(verdicts[name].outcome is Outcome.FITS for name in ("front", "rear", "right"))


def test_on_a_straight_way_a_mirrored_front_camera_is_not_excluded() -> None:
    random = np.random.default_rng(6)
    straight = {
        name: pairs_of(entry, step(turn_deg=0.0), random) for name, entry in ring().cameras.items()
    }
    verdict = judged(straight)["front"]
    assert verdict.outcome is Outcome.FITS
    assert not verdict.mirror_excluded


def test_without_motion_nothing_is_judged() -> None:
    random = np.random.default_rng(8)
    standing = {name: pairs_of(entry, None, random) for name, entry in ring().cameras.items()}
    swapped = {**standing, "left": standing["right"], "right": standing["left"]}
    for verdict in judged(swapped).values():
        assert verdict.outcome is Outcome.UNJUDGED


def test_small_errors_of_the_mounting_are_no_exchange(pairs: Pairs) -> None:

    off = mended(ring()["left"], np.array([0.07, -0.07, 0.07, 0.3, 0.1, 0.0]))
    assert agreement(pairs["left"], off).share > 0.8
