# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality is Kirillov's, with void cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.detection import PanopticQuality

from bev_perception.evaluation.instances import box_instances, output_instances
from bev_perception.evaluation.panoptic import PanopticCounts, panoptic_counts
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform
from bev_perception.perception import PipelineSettings

GRID = BevGrid.centered(10.0, 0.5)
EVERYWHERE = np.ones((8, 12), dtype=bool)


def segments(**rows):
    """A map of 8 x 12 cells; each segment is cells (row, first column, end column)."""
    found = np.full((8, 12), -1, dtype=np.int32)
    for number, (row, first, end) in enumerate(rows.values()):
        found[row, first:end] = number
    return found


def random_segments(random):
    """A few overlapping rectangles."""
    found = np.full((40, 40), -1, dtype=np.int32)
    for number in range(int(random.integers(0, 7))):
        row, column = random.integers(0, 34, 2)
        height, width = random.integers(2, 8, 2)
        found[row : row + height, column : column + width] = number
    return found


def brute_force(predicted, truth, counted):
    """Every pair of segments as sets of cells."""
    void = {tuple(cell) for cell in np.argwhere(~counted)}
    sets = [
        [{tuple(cell) for cell in np.argwhere(ids == i)} for i in np.unique(ids[ids >= 0])]
        for ids in (predicted, truth)
    ]
    said, true = sets[0], [cells - void for cells in sets[1] if cells - void]
    total, found, matched = 0.0, set(), set()
    for i, a in enumerate(said):
        for j, b in enumerate(true):
            a_counted = a - void
            iou = len(a_counted & b) / len(a_counted | b)
            if iou > 0.5:
                total, found, matched = total + iou, found | {j}, matched | {i}
    wrong = [a for i, a in enumerate(said) if i not in matched and 2 * len(a & void) <= len(a)]
    return total, len(matched), len(wrong), len(true) - len(found)


def test_a_match_a_near_miss_and_an_invention_by_hand():
    truth = segments(a=(0, 0, 4), b=(2, 0, 4))
    predicted = segments(a=(0, 0, 5), b=(2, 2, 6), c=(6, 0, 3))
    counts = panoptic_counts(predicted, truth, EVERYWHERE)
    assert counts == PanopticCounts(pytest.approx(4 / 5), 1, 2, 1)
    assert counts.quality == pytest.approx(0.8 / (1 + 2 / 2 + 1 / 2))
    assert counts.segmentation_quality == pytest.approx(0.8)
    assert counts.recognition_quality == pytest.approx(1 / 2.5)


def test_it_equals_every_pair_compared_cell_by_cell():
    random = np.random.default_rng(5)
    for _ in range(60):
        truth = random_segments(random)
        predicted = np.roll(truth, random.integers(-1, 2, 2), (0, 1))
        if random.random() < 0.3:
            predicted = random_segments(random)
        counted = random_segments(random) < 3
        total, hits, wrong, missed = brute_force(predicted, truth, counted)
        counts = panoptic_counts(predicted, truth, counted)
        assert counts == PanopticCounts(pytest.approx(total), hits, wrong, missed)


def test_it_equals_torchmetrics_where_nothing_is_void():
    random = np.random.default_rng(6)
    theirs = PanopticQuality(things={1}, stuffs={0}, return_per_class=True)
    ours = PanopticCounts()
    for _ in range(10):
        truth = random_segments(random)
        predicted = np.roll(truth, random.integers(-1, 2, 2), (0, 1))
        ours += panoptic_counts(predicted, truth, np.ones(truth.shape, dtype=bool))
        maps = [
            torch.from_numpy(np.stack([ids >= 0, np.maximum(ids, 0)], axis=-1).astype(int))
            for ids in (predicted, truth)
        ]
        theirs.update(maps[0][None], maps[1][None])
    assert ours.quality == pytest.approx(theirs.compute()[0, 0].item())


def test_nothing_is_no_number():
    empty = np.full((8, 12), -1, dtype=np.int32)
    assert math.isnan(panoptic_counts(empty, empty, EVERYWHERE).quality)


def car(x, y, length=4.0):
    pose = RigidTransform.from_euler(translation=(x, y, 0.8))
    return ObjectBox("car", 0, pose, np.array([length, 2.0, 1.6]), score=0.9)


def test_the_smaller_of_two_overlapping_boxes_has_the_cell():
    owner = box_instances([car(0, 0, 2.0), car(0, 0, 6.0)], GRID)
    row, column = (int(i) for i in GRID.to_cells(np.zeros(2)).round())
    assert owner[row, column] == 0
    assert set(np.unique(owner)) == {-1, 0, 1}


def test_cells_follow_their_offsets_and_in_recordings_the_boxes():
    boxes = [car(-2.5, 0.0), car(2.5, 0.0)]
    truth = box_instances(boxes, GRID)
    center = np.zeros(GRID.shape, dtype=np.float32)
    offset = np.zeros((2, *GRID.shape), dtype=np.float32)
    for number, box in enumerate(boxes):
        rows, columns = np.nonzero(truth == number)
        offset[0, rows, columns] = box.center[0] - GRID.x_centers[columns]
        offset[1, rows, columns] = box.center[1] - GRID.y_centers[rows]
        row, column = (int(i) for i in GRID.to_cells(box.center[:2]).round())
        center[row, column] = 0.9 - 0.1 * number
    probability = (truth >= 0).astype(np.float32)
    unknown = np.zeros(GRID.shape, dtype=bool)
    live = BevOutput(1, GRID, probability, unknown, center, offset)
    recorded = BevOutput(1, GRID, probability, unknown, 0 * center, 0 * offset, tuple(boxes))
    for output in (live, recorded):
        np.testing.assert_array_equal(output_instances(output, PipelineSettings()), truth)
