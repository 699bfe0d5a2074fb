# SPDX-License-Identifier: Apache-2.0
"""The evaluator judges outputs as a person with a pencil would."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bev_perception.datasets import make_targets
from bev_perception.errors import BevError
from bev_perception.evaluation import Evaluator
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform

GRID = BevGrid.centered(30.0, 0.5)


def car(x, y, yaw=0.3, visibility=1.0):
    pose = RigidTransform.from_euler(yaw=yaw, translation=(x, y, 0.8))
    return ObjectBox("car", 0, pose, np.array([4.5, 1.9, 1.6]), visibility=visibility)


def answer(boxes, grid=GRID):
    """An output that says exactly what the boxes say."""
    targets = make_targets(boxes, grid)
    return BevOutput(
        stamp_ns=1,
        grid=grid,
        probability=targets.segmentation.astype(np.float32),
        unknown=np.zeros(grid.shape, dtype=bool),
        center=targets.center,
        offset=targets.offset,
        objects=tuple(boxes),
        timings_ms={"engine": 3.0},
    )


def test_a_perfect_answer_scores_one():
    boxes = [car(5, 3), car(-15, 9)]
    evaluator = Evaluator()
    evaluator.update(answer(boxes), boxes)
    result = evaluator.compute()
    assert result["iou"]["within_25m"] == result["iou"]["within_50m"] == 1.0
    assert result["center_precision"]["within_25m"] == 1.0
    assert result["center_recall"]["within_25m"] == 1.0
    assert result["median_ms"] == {"engine": 3.0}
    assert result["iou"]["ring_20_25m"] is None
    json.dumps(result, allow_nan=False)


def test_a_mirrored_answer_scores_nothing():
    evaluator = Evaluator()
    evaluator.update(answer([car(5, 6)]), [car(5, -6)])
    result = evaluator.compute()
    assert result["iou"]["within_25m"] == 0.0
    assert result["center_counts"]["within_25m"] == {"found": 0, "invented": 1, "missed": 1}


def test_vehicles_that_are_not_visible_cost_nothing_whether_found_or_not():
    seen, hidden = car(5, 3), car(-8, 3, visibility=0.1)
    for said in ([seen], [seen, hidden]):
        evaluator = Evaluator()
        evaluator.update(answer(said), [seen, hidden])
        result = evaluator.compute()
        assert result["iou"]["within_25m"] == 1.0
        assert result["center_counts"]["within_25m"] == {"found": 1, "invented": 0, "missed": 0}


def test_a_small_grid_misses_what_lies_outside_it():
    boxes = [car(5, 3), car(40, 3)]
    evaluator = Evaluator()
    evaluator.update(answer(boxes), boxes)
    result = evaluator.compute()
    assert result["iou"]["within_25m"] == 1.0
    assert result["iou"]["within_50m"] == pytest.approx(0.5, abs=0.05)


def test_results_pool_over_sets():
    evaluator = Evaluator()
    evaluator.update(answer([car(5, 3)]), [car(5, 3)])
    evaluator.update(answer([]), [car(5, 3)])
    result = evaluator.compute()
    assert result["sets"] == 2
    assert result["iou"]["within_25m"] == 0.5
    assert result["center_recall"]["within_25m"] == 0.5
    assert result["center_precision"]["within_25m"] == 1.0


def test_two_grids_in_one_evaluation_are_refused():
    evaluator = Evaluator()
    evaluator.update(answer([]), [])
    other = replace(answer([], BevGrid.centered(20.0, 0.5)))
    with pytest.raises(BevError, match="two grids"):
        evaluator.update(other, [])
