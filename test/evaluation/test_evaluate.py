# SPDX-License-Identifier: Apache-2.0
"""The evaluator judges outputs as a person with a pencil would."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bev_perception.cli.evaluation_report import key_figures
from bev_perception.cli.evaluation_tables import class_table
from bev_perception.datasets import TargetSettings, make_targets
from bev_perception.errors import BevError
from bev_perception.evaluation import Evaluator
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform
from bev_perception.geometry.class_map import ClassMap
from bev_perception.geometry.class_sets import ROAD_USERS

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


def test_each_class_is_judged_by_its_own_probability_and_hidden_objects_cost_nothing():
    person = replace(car(-5, 4), label="pedestrian", size=np.array([1.6, 1.6, 1.8]))
    bicycle = replace(car(6, -9), label="bicycle", size=np.array([1.8, 1.0, 1.7]))
    hidden = replace(
        bicycle, pose=RigidTransform.from_euler(translation=(15, 0, 0.8)), visibility=0
    )
    truth = [car(5, 3), person, bicycle, hidden]
    users = TargetSettings(classes=ROAD_USERS)
    said = make_targets(truth[:3], GRID, users).classes.astype(np.float32)
    said[2] = 0.4 * said[2]  # nobody says that there is a bicycle, and half of the person is a car
    said[0] = np.maximum(said[0], 0.6 * said[1] * (GRID.cell_centers[..., 0] < -5))
    evaluator = Evaluator(users)
    together = replace(answer(truth[:3]), probability=said.max(axis=0))
    evaluator.update(replace(together, class_map=ClassMap(said, ROAD_USERS)), truth)
    found = {
        name: values["within_25m"] for name, values in evaluator.compute()["iou_by_class"].items()
    }
    assert found["pedestrian"] == 1.0
    assert found["two_wheeler"] == 0.0
    cells = make_targets(truth, GRID, users).classes.sum(axis=(1, 2))
    wrong = int((said[1] * (GRID.cell_centers[..., 0] < -5)).sum())
    assert found["vehicle"] == pytest.approx(cells[0] / (cells[0] + wrong), abs=1e-4)
    table = class_table({"mine": evaluator.compute(), "other": {"iou": {}}})
    assert table.rows[0] == ["vehicle, within ±25 m", f"{found['vehicle']:.3f}", "-"]


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


def test_objects_of_the_chosen_classes_count():
    walker = replace(car(-6, -4), label="pedestrian", size=np.array([1.0, 1.0, 1.8]))
    settings = TargetSettings(classes=("vehicle", "pedestrian"))
    for targets, found in ((None, 1), (settings, 2)):
        evaluator = Evaluator(targets)
        evaluator.update(answer([car(5, 3)]), [car(5, 3), walker])
        counts = evaluator.compute()["center_counts"]["within_25m"]
        assert counts == {"found": 1, "invented": 0, "missed": found - 1}


def test_all_measures_of_a_perfect_answer():
    boxes = [car(5, 3), car(-15, 9), car(-2, -6, visibility=0.1)]
    evaluator = Evaluator()
    confusion = evaluator.update(answer(boxes), boxes)
    result = evaluator.compute()
    assert set(result["segmentation"]["within_25m"].values()) == {1.0}
    assert result["iou_all_vehicles"]["within_25m"] == 1.0
    assert result["panoptic"]["within_25m"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0}
    assert set(result["center_ap"]["within_25m"].values()) == {1.0}
    assert result["calibration"]["ece"] == 0.0
    assert result["precision_recall"]["best_iou"] == 1.0
    cells = confusion["within_25m"]
    assert cells.sum() == 100 * 100 - hidden_cells(boxes)
    assert cells[1, 0] == cells[0, 1] == 0


def test_what_an_empty_world_cannot_tell_is_unknown_in_figures_and_on_the_page():
    empty, unseen = Evaluator(), Evaluator()
    empty.update(answer([car(5, 3)]), [])
    assert empty.compute()["precision_recall"]["area"] is None
    assert empty.compute()["precision_recall"]["best_threshold"] is None
    unseen.update(replace(answer([]), unknown=np.ones(GRID.shape, dtype=bool)), [car(5, 3)])
    for evaluator, shown in ((unseen, "-"), (empty, "%")):
        figures = {figure.name: figure.value for figure in key_figures(evaluator.compute())}
        assert figures["Calibration error"].endswith(shown)


def hidden_cells(boxes):
    return int((~make_targets(boxes, BevGrid.centered(25.0, 0.5)).valid).sum())


def test_a_hidden_vehicle_that_is_missed_counts_without_the_filter_alone():
    seen, hidden = car(5, 3), car(-8, 3, visibility=0.1)
    evaluator = Evaluator()
    evaluator.update(answer([seen]), [seen, hidden])
    result = evaluator.compute()
    assert result["iou"]["within_25m"] == 1.0
    assert result["iou_all_vehicles"]["within_25m"] == pytest.approx(0.5, abs=0.05)


def test_cells_that_no_camera_sees_take_no_part_in_calibration():
    boxes = [car(5, 3)]
    wrong = answer([car(5, -6)])
    unknown = make_targets([car(5, 3), car(5, -6)], GRID).segmentation
    evaluator = Evaluator()
    evaluator.update(replace(wrong, unknown=unknown), boxes)
    assert evaluator.compute()["calibration"]["ece"] == 0.0
    assert evaluator.compute()["iou"]["within_25m"] == 0.0
