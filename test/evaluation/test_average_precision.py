# SPDX-License-Identifier: Apache-2.0
"""Average precision of centres is that of the nuScenes devkit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bev_perception.evaluation.average_precision import CenterPrecision, average_precision
from bev_perception.evaluation.regions import Region

PLANE = Region("plane", "box", 0.0, 100.0)


def devkit(scores, hits, num_true):
    """The devkit's accumulate and calc_ap, written again step by step."""
    found = wrong = 0
    curve = []
    for _, hit in sorted(zip(scores, hits), key=lambda pair: -pair[0]):
        found, wrong = found + hit, wrong + (not hit)
        curve.append((found / num_true, found / (found + wrong)))
    total = 0.0
    for step in range(11, 101):
        recall = step / 100
        if recall > curve[-1][0] + 1e-12:
            continue
        before = [point for point in curve if point[0] <= recall + 1e-12]
        after = [point for point in curve if point[0] > recall + 1e-12]
        if (before and before[-1][0] >= recall - 1e-12) or not after:
            precision = before[-1][1]
        elif not before:
            precision = after[0][1]
        else:
            (r0, p0), (r1, p1) = before[-1], after[0]
            precision = p0 + (p1 - p0) * (recall - r0) / (r1 - r0)
        total += max(0.0, precision - 0.1)
    return total / 90 / 0.9


def test_a_perfect_ranking_scores_one_and_a_wrong_one_nothing():
    assert average_precision([0.9, 0.8], [True, True], 2) == pytest.approx(1.0)
    assert average_precision([0.9, 0.8], [False, False], 2) == 0.0
    assert average_precision([], [], 2) == 0.0
    assert math.isnan(average_precision([0.5], [False], 0))


def test_half_of_the_objects_found_without_an_error_by_hand():
    # Precision is 1 for recalls 0.11 to 0.50: 40 of 90 steps, and 0 beyond.
    assert average_precision([0.9], [True], 2) == pytest.approx(40 / 90)


def test_an_early_error_costs_more_than_a_late_one():
    early = average_precision([0.9, 0.8], [False, True], 1)
    late = average_precision([0.9, 0.8], [True, False], 1)
    assert late == pytest.approx((89 + (0.5 - 0.1) / 0.9) / 90)
    # Interpolated from (0, 0) to (1, 0.5): 0.5 r - 0.1 for recalls r of 0.2 to 1.
    assert early == pytest.approx((0.5 * 48.6 - 8.1) / 90 / 0.9)


def test_it_equals_the_devkits_steps_on_random_rankings():
    random = np.random.default_rng(2)
    for _ in range(30):
        count = int(random.integers(1, 60))
        scores, hits = random.permutation(count) / count, random.random(count) < 0.6
        num_true = int(hits.sum() + random.integers(1, 20))
        assert average_precision(scores, hits, num_true) == pytest.approx(
            devkit(scores.tolist(), hits.tolist(), num_true), abs=1e-9
        )


def test_matches_are_judged_at_each_distance_over_all_moments():
    collected = CenterPrecision([PLANE])
    collected.update([[0.0, 0.7], [30.0, 0.0]], [0.9, 0.4], [[0.0, 0.0]], [True])
    collected.update([[5.0, 3.0]], [0.8], [[5.0, 0.0]], [True])
    values = collected.compute()["plane"]
    assert values["0.5"] == 0.0
    # One of two found, then two errors: precision 1 up to recall 0.49, 1/3 at 0.5, 0 beyond.
    half = (39 + (1 / 3 - 0.1) / 0.9) / 90
    assert values["1"] == values["2"] == pytest.approx(half)
    # An error after all were found: it costs the last step alone.
    assert values["4"] == pytest.approx((89 + (2 / 3 - 0.1) / 0.9) / 90)
    assert values["mean"] == pytest.approx((0 + half + half + values["4"]) / 4)


def test_hidden_vehicles_are_neither_wanted_nor_wrong():
    collected = CenterPrecision([PLANE], [2.0])
    collected.update([[0.0, 0.0], [9.0, 9.0]], [0.9, 0.8], [[0, 0], [9, 9]], [False, True])
    assert collected.compute()["plane"]["2"] == pytest.approx(1.0)


def test_the_region_decides_by_the_true_centre():
    near = Region("near", "ring", 0.0, 10.0)
    collected = CenterPrecision([near], [2.0])
    collected.update([[10.5, 0.0]], [0.9], [[9.5, 0.0]], [True])
    assert collected.compute()["near"]["2"] == pytest.approx(1.0)
