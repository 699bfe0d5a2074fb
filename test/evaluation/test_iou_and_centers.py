# SPDX-License-Identifier: Apache-2.0
"""IoU is pooled over the split by region; centres are matched once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bev_perception.evaluation import DEFAULT_REGIONS, GridIou, Region, center_matches
from bev_perception.geometry import BevGrid

GRID = BevGrid.centered(30.0, 1.0)
PLANE = Region("plane", "box", 0.0, 30.0)


def test_iou_equals_brute_force_over_all_cells_of_all_sets():
    random = np.random.default_rng(3)
    metric = GridIou(GRID)
    counts = {region.name: [0, 0] for region in DEFAULT_REGIONS}
    for _ in range(3):
        probability = random.random((2, 1, *GRID.shape))
        truth, valid = random.random((2, 2, 1, *GRID.shape)) < [[[[[0.3]]]], [[[[0.8]]]]]
        metric.update(*map(torch.from_numpy, (probability, truth, valid)))
        for b, row, column in np.ndindex(2, *GRID.shape):
            x, y = GRID.to_metres((row, column))
            if not valid[b, 0, row, column]:
                continue
            said, true = probability[b, 0, row, column] > 0.5, truth[b, 0, row, column]
            for region in DEFAULT_REGIONS:
                distance = max(abs(x), abs(y)) if region.kind == "box" else math.hypot(x, y)
                if region.inner_m <= distance < region.outer_m:
                    counts[region.name][0] += said and true
                    counts[region.name][1] += said or true
    for name, value in metric.compute().items():
        assert value.item() == pytest.approx(counts[name][0] / counts[name][1])


def test_iou_is_pooled_and_not_averaged_over_sets():
    metric = GridIou(GRID, [PLANE])
    truth = torch.zeros(2, 1, *GRID.shape)
    truth[0, 0, :1, :1] = 1
    truth[1, 0, :10, :10] = 1
    said = truth.clone()
    said[0] = 0
    metric.update(said, truth, torch.ones_like(truth))
    assert metric.compute()["plane"].item() == pytest.approx(100 / 101)


def counts(predicted, truth, visible=None, scores=None, region=PLANE):
    scores = np.ones(len(predicted)) if scores is None else scores
    visible = [True] * len(truth) if visible is None else visible
    result = center_matches(predicted, scores, truth, visible, region)
    return result.true_positives, result.false_positives, result.false_negatives


def test_a_centre_is_found_within_the_distance_and_missed_beyond():
    assert counts([[1.5, 0.0]], [[0.0, 0.0]]) == (1, 0, 0)
    assert counts([[1.51, 0.0]], [[0.0, 0.0]]) == (0, 1, 1)


def test_two_predictions_on_one_object_are_one_hit_and_one_false_alarm():
    assert counts([[0.1, 0.0], [0.2, 0.0]], [[0.0, 0.0]]) == (1, 1, 0)


def test_the_better_score_chooses_first():
    predicted, truth = [[0.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [-1.4, 0.0]]
    # The first alone can reach both; it takes the nearer one and leaves the second nothing.
    assert counts(predicted, truth, scores=[0.9, 0.5]) == (1, 1, 1)
    assert counts(predicted, truth, scores=[0.5, 0.9]) == (2, 0, 0)


def test_objects_that_are_not_visible_count_neither_way():
    assert counts([[0.0, 0.0]], [[0.5, 0.0]], visible=[False]) == (0, 0, 0)
    assert counts([], [[0.5, 0.0]], visible=[False]) == (0, 0, 0)


def test_a_prediction_on_a_hidden_object_does_not_find_its_visible_neighbour():
    truth, visible = [[0.5, 0.0], [1.9, 0.0]], [False, True]
    assert counts([[0.6, 0.0]], truth, visible=visible) == (0, 0, 1)
    assert counts([[0.6, 0.0], [1.8, 0.0]], truth, visible=visible) == (1, 0, 0)


def test_the_region_decides_by_the_true_centre():
    near = Region("near", "ring", 0.0, 10.0)
    assert counts([[10.5, 0.0]], [[9.5, 0.0]], region=near) == (1, 0, 0)
    assert counts([[9.5, 0.0]], [[10.5, 0.0]], region=near) == (0, 0, 0)
    assert counts([[20.0, 0.0]], [[25.0, 0.0]], region=near) == (0, 0, 0)


def test_precision_and_recall_of_pooled_counts():
    total = center_matches([[0, 0]], [1], [[0, 0], [5, 5]], [True, True], PLANE)
    total = total + center_matches([[9, 9]], [1], np.zeros((0, 2)), [], PLANE)
    assert (total.precision, total.recall) == (0.5, 0.5)
    assert math.isnan(center_matches([], [], np.zeros((0, 2)), [], PLANE).precision)
