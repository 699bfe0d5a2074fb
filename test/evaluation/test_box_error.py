# SPDX-License-Identifier: Apache-2.0
"""Boxes of found vehicles are judged as a person with a ruler and a protractor would."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.cli.evaluation_tables import object_tables
from bev_perception.evaluation import Evaluator
from bev_perception.evaluation.box_error import BoxErrors, box_errors, ground_iou
from bev_perception.evaluation.regions import NEAR
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform

SIZE = (4.0, 2.0)


def box(
    x: float = 5.0,
    y: float = 3.0,
    yaw_deg: float = 0.0,
    size: tuple[float, float] = SIZE,
    score: float = 1.0,
    height: float = 1.5,
    roll: float = 0.0,
) -> ObjectBox:
    pose = RigidTransform.from_euler(roll, 0.0, math.radians(yaw_deg), (x, y, height / 2))
    return ObjectBox("car", 1, pose, np.array([*size, height]), visibility=1.0, score=score)


def errors(found: list[ObjectBox], truth: list[ObjectBox]) -> BoxErrors:
    return box_errors(found, truth, [True] * len(truth), NEAR)


def test_the_true_box_has_no_error() -> None:
    found = errors([box(yaw_deg=33.0)], [box(yaw_deg=33.0)])
    assert found.matches == 1
    expected = {
        "translation_error_m": 0.0,
        "scale_error": 0.0,
        "orientation_error_deg": 0.0,
        "axis_error_deg": 0.0,
        "iou": 1.0,
    }
    assert found.means() == pytest.approx(expected)


def test_each_error_is_measured_apart_from_the_others() -> None:
    """Moved by 0.3 and 0.4 m, and half as wide, and turned by 90 degrees."""
    found = errors([box(5.3, 3.4)], [box()]).means()
    assert found["translation_error_m"] == pytest.approx(0.5)
    assert (found["scale_error"], found["axis_error_deg"]) == (0.0, 0.0)
    assert found["iou"] == pytest.approx(3.7 * 1.6 / (16.0 - 3.7 * 1.6))

    moved_narrow = errors([box(5.3, 3.4, 70.0, (4.0, 1.0))], [box(yaw_deg=-20.0)]).means()
    assert moved_narrow["scale_error"] == pytest.approx(0.5)
    assert moved_narrow["orientation_error_deg"] == pytest.approx(90.0)
    assert moved_narrow["axis_error_deg"] == pytest.approx(90.0)

    crossed = errors([box(yaw_deg=90.0)], [box()]).means()
    assert (crossed["translation_error_m"], crossed["scale_error"]) == (0.0, 0.0)
    assert crossed["iou"] == pytest.approx(4.0 / 12.0)


@pytest.mark.parametrize(
    ("found_deg", "true_deg", "orientation", "axis"),
    [
        (0, 30, 30, 30),
        (170, -170, 20, 20),
        (10, -170, 180, 0),
        (100, 0, 100, 80),
        (-95, 95, 170, 10),
    ],
)
def test_the_axis_does_not_tell_front_from_rear(
    found_deg: float, true_deg: float, orientation: float, axis: float
) -> None:
    found = errors([box(yaw_deg=found_deg)], [box(yaw_deg=true_deg)])
    assert found.orientation_error_deg == pytest.approx(orientation)
    assert found.axis_error_deg == pytest.approx(axis, abs=1e-9)


def test_heights_do_not_count_nor_on_which_side_a_car_lies() -> None:
    found = errors([box(height=4.0)], [box(height=1.0)])
    assert (found.scale_error, found.iou) == (0.0, 1.0)
    assert ground_iou(box(), box(roll=math.pi)) == pytest.approx(1.0)


def test_a_match_is_within_2_m_one_to_one_and_best_score_first() -> None:
    assert errors([box(6.99)], [box()]).matches == 1
    assert errors([box(7.01)], [box()]).matches == 0
    two = errors([box(5.1, score=0.4), box(6.0, score=0.9)], [box()])
    assert (two.matches, two.translation_error_m) == (1, pytest.approx(1.0))


def test_hidden_vehicles_and_those_outside_the_region_do_not_count() -> None:
    assert box_errors([box()], [box()], [False], NEAR) == BoxErrors()
    assert errors([box(24.5)], [box(25.5)]) == BoxErrors()
    assert errors([box(25.5)], [box(24.5)]).matches == 1


def test_means_pool_over_moments() -> None:
    total = errors([box(6.0)], [box()]) + errors([box(yaw_deg=40.0)], [box()]) + errors([], [box()])
    assert total.matches == 2
    assert total.means()["translation_error_m"] == pytest.approx(0.5)
    assert total.means()["orientation_error_deg"] == pytest.approx(20.0)


sides, shifts, turns = st.floats(0.5, 12.0), st.floats(-1.4, 1.4), st.floats(-180.0, 180.0)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(sides, sides, turns, sides, sides, turns, shifts, shifts)
def test_overlaps_are_those_of_shapely(
    length: float,
    width: float,
    yaw_deg: float,
    true_length: float,
    true_width: float,
    true_yaw_deg: float,
    x: float,
    y: float,
) -> None:
    found = box(5.0 + x, 3.0 + y, yaw_deg, (length, width))
    true = box(5.0, 3.0, true_yaw_deg, (true_length, true_width))
    one, other = (shapely.Polygon(each.footprint) for each in (found, true))
    aligned, truly = (
        shapely.box(-each.size[0] / 2, -each.size[1] / 2, each.size[0] / 2, each.size[1] / 2)
        for each in (found, true)
    )
    measured = errors([found], [true])
    assert measured.iou == pytest.approx(iou(one, other))
    assert measured.scale_error == pytest.approx(1.0 - iou(aligned, truly))
    heading = np.array([math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))])
    true_heading = np.array(
        [math.cos(math.radians(true_yaw_deg)), math.sin(math.radians(true_yaw_deg))]
    )
    between = math.degrees(math.acos(np.clip(heading @ true_heading, -1.0, 1.0)))
    assert measured.orientation_error_deg == pytest.approx(between, abs=1e-5)
    assert measured.axis_error_deg == pytest.approx(min(between, 180.0 - between), abs=1e-5)


def iou(one: shapely.Polygon, other: shapely.Polygon) -> float:
    return shapely.intersection(one, other).area / shapely.union(one, other).area


def answer(objects: tuple[ObjectBox, ...]) -> BevOutput:
    grid = BevGrid.centered(30.0, 0.5)
    nothing = np.zeros(grid.shape, dtype=np.float32)
    maps = nothing, nothing > 0, nothing, np.zeros((2, *grid.shape), dtype=np.float32)
    return BevOutput(1, grid, *maps, objects)


def test_the_evaluator_pools_by_region_and_the_page_shows_it() -> None:
    evaluator = Evaluator()
    for found, true in ((box(6.0), box()), (box(40.0, yaw_deg=50.0), box(40.0))):
        evaluator.update(answer((found,)), [true])
    metrics = evaluator.compute()
    near, wide = metrics["boxes"]["within_25m"], metrics["boxes"]["within_50m"]
    assert near == {
        "matches": 1,
        "translation_error_m": 1.0,
        "scale_error": 0.0,
        "orientation_error_deg": 0.0,
        "axis_error_deg": 0.0,
        "iou": 0.6,
    }
    assert (wide["matches"], wide["translation_error_m"]) == (2, 0.5)
    assert wide["orientation_error_deg"] == 25.0
    rows = dict(rows_of_boxes(metrics))
    assert rows["matches, ±50 m"] == "2"
    assert rows["translation error, m, ±25 m"] == "1.000"
    assert rows["orientation error, degrees, ±50 m"] == "25.000"


def test_where_nothing_was_found_errors_are_unknown() -> None:
    evaluator = Evaluator()
    assert evaluator.compute()["boxes"]["within_50m"]["matches"] == 0
    evaluator.update(answer(()), [box()])
    evaluator.update(answer((box(),)), [])
    metrics = evaluator.compute()
    values = dict(metrics["boxes"]["within_25m"])
    assert values.pop("matches") == 0
    assert len(values) == 5
    assert set(values.values()) == {None}
    rows = dict(rows_of_boxes(metrics))
    assert (rows["matches, ±25 m"], rows["IoU, ±25 m"]) == ("0", "-")


def test_evaluations_from_before_boxes_were_measured_still_have_a_page() -> None:
    metrics = Evaluator().compute()
    del metrics["boxes"]
    assert set(dict(rows_of_boxes(metrics)).values()) == {"-"}


def rows_of_boxes(metrics: dict) -> list[list[str]]:
    return next(table for table in object_tables({"mine": metrics}) if table.title == "Boxes").rows
