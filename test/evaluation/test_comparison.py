# SPDX-License-Identifier: Apache-2.0
"""Single moments: ranked, paired between two models, and resampled for an interval."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.errors import ConfigurationError
from bev_perception.evaluation.comparison import (
    Pair,
    bootstrap_difference,
    most_changed,
    paired,
)
from bev_perception.evaluation.frame_scores import FrameScore, best_median_worst

REGION = "within_25m"


def score(intersection, union, stamp=0, drive="town"):
    return FrameScore(f"out/{drive}", drive, stamp, {REGION: (intersection, union)})


def scores(ious, drive="town"):
    return [score(round(100 * iou), 100, stamp, drive) for stamp, iou in enumerate(ious)]


def test_best_median_and_worst_of_those_with_vehicles():
    frames = [*scores([0.1, 0.9, 0.5, 0.2, 0.8, 0.6, 0.7]), score(0, 0, 99)]
    chosen = best_median_worst(frames, 2)
    assert [frame.iou() for frame in chosen["best"]] == [0.9, 0.8]
    assert [frame.iou() for frame in chosen["median"]] == [0.7, 0.6]
    assert [frame.iou() for frame in chosen["worst"]] == [0.1, 0.2]


def test_few_moments_are_in_one_group_alone():
    chosen = best_median_worst(scores([0.5, 0.7, 0.6, 0.4]), 3)
    keys = [frame.key for group in chosen.values() for frame in group]
    assert len(keys) == len(set(keys)) == 3
    assert best_median_worst([], 2) == {"best": (), "median": (), "worst": ()}
    assert len(best_median_worst(scores([0.5, 0.7]), 2)["best"]) == 2


def test_a_moment_survives_json():
    assert FrameScore.from_dict(score(3, 7, 5).to_dict()) == score(3, 7, 5)
    with pytest.raises(ConfigurationError, match="damaged frame"):
        FrameScore.from_dict({"drive": "town"})


def test_only_common_moments_are_compared():
    first, second = scores([0.5, 0.6, 0.7]), scores([0.5, 0.6])
    assert [pair.first.stamp_ns for pair in paired(first, second[::-1])] == [0, 1]
    with pytest.raises(ConfigurationError, match="no moment in common"):
        paired(first, scores([0.5], drive="other"))
    with pytest.raises(ConfigurationError, match="same moment twice"):
        paired(first, [*second, second[0]])


def test_what_changed_most_comes_first():
    pairs = paired(scores([0.5, 0.5, 0.5, 0.5]), scores([0.6, 0.9, 0.2, 0.5]))
    better, worse = most_changed(pairs, REGION, 2)
    assert [pair.first.stamp_ns for pair in better] == [1, 0]
    assert [pair.first.stamp_ns for pair in worse] == [2]


def test_the_difference_is_of_pooled_iou_and_equal_models_have_none():
    pairs = [Pair(score(1, 10), score(4, 10)), Pair(score(90, 100, 1), score(90, 100, 1))]
    found = bootstrap_difference(pairs, REGION)
    assert (found.first, found.second) == pytest.approx((91 / 110, 94 / 110))
    same = bootstrap_difference(paired(scores([0.5, 0.7]), scores([0.5, 0.7])), REGION)
    assert (same.low, same.high, same.is_sure) == (0.0, 0.0, False)


def test_the_interval_equals_resampling_one_by_one():
    random = np.random.default_rng(8)
    cells = random.integers(10, 100, (40, 2))
    pairs = [Pair(score(int(a), 100, i), score(int(b), 110, i)) for i, (a, b) in enumerate(cells)]
    found = bootstrap_difference(pairs, REGION)
    gains = []
    for _ in range(4000):
        drawn = cells[random.integers(0, 40, 40)].sum(axis=0)
        gains.append(drawn[1] / (40 * 110) - drawn[0] / (40 * 100))
    expected = np.percentile(gains, [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.01)
    assert found.unit == "moment"


def test_moments_of_one_drive_are_drawn_together():
    """Ten moments that say the same are no ten proofs."""
    random = np.random.default_rng(9)
    first, second = [], []
    for drive in range(10):
        gain = random.normal(0.02, 0.1)
        first += scores([0.5] * 10, f"town_{drive}")
        second += scores([0.5 + gain] * 10, f"town_{drive}")
    whole = bootstrap_difference(paired(first, second), REGION)
    one_name = [Pair(score(*p.first.cells[REGION], i), score(*p.second.cells[REGION], i))
                for i, p in enumerate(paired(first, second))]  # fmt: skip
    single = bootstrap_difference(one_name, REGION)
    assert (whole.unit, single.unit) == ("drive", "moment")
    assert whole.high - whole.low > 2.0 * (single.high - single.low)


def test_bags_of_one_name_in_different_folders_are_different_drives():
    random = np.random.default_rng(9)
    named, alike = [], []
    for drive in range(10):
        gain = random.normal(0.02, 0.1)
        for number in range(10):
            stamp, path = 100 * drive + number, f"2024_{drive}/rosbag"
            cells = {REGION: (50, 100)}, {REGION: (round(50 + 100 * gain), 100)}
            named.append(Pair(*(FrameScore(path, f"town_{drive}", stamp, c) for c in cells)))
            alike.append(Pair(*(FrameScore(path, "rosbag", stamp, c) for c in cells)))
    found = bootstrap_difference(alike, REGION)
    assert found.unit == "drive"
    assert found == bootstrap_difference(named, REGION)
