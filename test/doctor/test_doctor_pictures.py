# SPDX-License-Identifier: Apache-2.0
"""Findings about geometry come with a picture of what the calibration claims."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from injected_recordings import (
    TO_BODY,
    UP_20,
    calibrated,
    driven,
    known,
    mounted,
    turned,
    with_lens,
)

from bev_perception.doctor.examination import Examination
from bev_perception.doctor.finding import Finding
from bev_perception.doctor.pictures import overview_picture, with_pictures
from bev_perception.visualization.palette import HORIZON

Examined = Callable[..., Examination]


def pictured(examination: Examination) -> list[Finding]:
    return [each for each in with_pictures(examination).findings if each.picture is not None]


def horizon_row(picture: np.ndarray) -> float | None:
    """Where the line of the horizon lies in a picture of noise; None where there is none."""
    far = np.median(np.abs(picture.astype(int) - np.array(HORIZON)).sum(axis=2), axis=1)
    return float(np.argmin(far)) if far.min() < 120 else None


def test_body_frames_are_shown_as_they_are_and_as_they_would_be_right(examined: Examined) -> None:
    found = pictured(examined(mounted(turned(lambda r: r * TO_BODY))))
    assert [each.check for each in found] == ["optical-frame"] * 4
    picture = found[0].picture
    assert picture is not None
    assert picture.shape == (64, 192, 3)
    assert horizon_row(picture[:, :96]) is None
    assert horizon_row(picture[:, 96:]) == 28.0  # 5 degrees above the middle


def test_tilted_pose_is_shown_by_the_horizon_that_it_claims(examined: Examined) -> None:
    (found,) = pictured(examined(driven(turned(lambda r: r * UP_20))))
    assert found.check == "ego-pose"
    assert found.picture is not None
    row = horizon_row(found.picture)
    assert row is not None
    assert row > 40.0  # the nose points up, so the level horizon lies low in the image


def test_lens_is_shown_and_what_no_geometry_explains_is_not(examined: Examined) -> None:
    folding = calibrated(with_lens("plumb_bob", -0.5, 0.0, 0.0, 0.0, 0.0))
    gone = known("dead", cameras=("rear",))
    assert [each.check for each in pictured(examined(folding, gone))] == ["distortion"]


def test_overview_shows_all_cameras_and_skips_those_of_another_size(examined: Examined) -> None:
    whole = overview_picture(examined().observation, 400)
    spoiled = overview_picture(examined(known("wrong_size", cameras=("left",))).observation, 400)
    assert whole is not None
    assert spoiled is not None
    assert whole.shape == spoiled.shape
    assert not np.array_equal(whole, spoiled)
