# SPDX-License-Identifier: Apache-2.0
"""Perception's output comes back from a bag as it was, within what its messages can say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bev_perception.bags import BagWriter
from bev_perception.bags.headers import make_header
from bev_perception.bags.markers import boxes_to_markers
from bev_perception.bags.occupancy_grids import grid_to_message
from bev_perception.bags.output_reader import OutputReader
from bev_perception.bags.point_clouds import centers_to_message
from bev_perception.bags.typestore import (
    MARKER_ARRAY,
    OCCUPANCY_GRID,
    POINT_CLOUD,
    message_class,
)
from bev_perception.errors import BagError
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform

SECOND = 1_000_000_000
GRID = BevGrid.centered(10.0, 0.5)


@pytest.fixture
def output() -> BevOutput:
    """Random probabilities, some cells unknown, two tracked objects, a pitched vehicle."""
    random = np.random.default_rng(5)
    boxes = tuple(
        ObjectBox(
            "car",
            number,
            RigidTransform.from_euler(yaw=0.3 * number, translation=(3.0 + number, -2.0, 0.8)),
            np.array([4.2, 1.8, 1.6]),
            velocity=np.array([2.0, 0.5 * number, 0.0]),
            score=0.61234567 - 0.1 * number,
        )
        for number in (3, 4)
    )
    return BevOutput(
        stamp_ns=2 * SECOND,
        grid=GRID,
        probability=random.uniform(size=GRID.shape).astype(np.float32),
        unknown=random.uniform(size=GRID.shape) < 0.1,
        center=np.zeros(GRID.shape, dtype=np.float32),
        offset=np.zeros((2, *GRID.shape), dtype=np.float32),
        objects=boxes,
        level_T_base=RigidTransform.from_euler(pitch=0.05),
    )


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(*outputs: BevOutput, threshold: float = 0.5) -> Path:
        with BagWriter(tmp_path / "bag") as writer:
            for entry in outputs:
                writer.write_output(entry, threshold)
        return tmp_path / "bag"

    return write


def read(bag: Path, output: BevOutput, threshold: float = 0.5) -> BevOutput:
    with OutputReader(bag) as reader:
        found = reader.output(output.stamp_ns, output.level_T_base, threshold)
    assert found is not None
    return found


def test_grid_stamp_and_unknown_cells_come_back(written, output) -> None:
    found = read(written(output), output)
    assert (found.stamp_ns, found.grid) == (output.stamp_ns, GRID)
    np.testing.assert_array_equal(found.unknown, output.unknown)


@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.997])
def test_probability_is_within_a_percent_and_on_the_same_side_of_the_threshold(
    written, output, threshold
) -> None:
    near = np.float32(threshold) + np.linspace(-0.004, 0.002, 21, dtype=np.float32)
    output.probability[0, :21] = near
    found = read(written(output, threshold=threshold), output, threshold)
    seen = ~output.unknown
    assert np.abs(found.probability - output.probability)[seen].max() <= 0.005 + 1e-6
    np.testing.assert_array_equal(
        found.probability[seen] > threshold, output.probability[seen] >= threshold
    )
    assert (found.probability[output.unknown] == 0.0).all()


def test_objects_come_back_levelled_with_ids_scores_and_velocities(written, output) -> None:
    found = read(written(output), output)
    assert [box.object_id for box in found.objects] == [3, 4]
    for mine, other in zip(found.objects, output.objects, strict=True):
        np.testing.assert_allclose(mine.pose.matrix, other.pose.matrix, atol=1e-12)
        np.testing.assert_allclose(mine.velocity, other.velocity, atol=1e-4)
        np.testing.assert_allclose(mine.size, other.size)
        assert mine.score == np.float32(other.score)


def test_stamps_are_those_of_the_outputs_and_others_have_none(written, output) -> None:
    later = replace(output, stamp_ns=3 * SECOND, objects=())
    with OutputReader(written(output, later)) as reader:
        assert reader.stamps_ns == [2 * SECOND, 3 * SECOND]
        assert reader.output(2 * SECOND + 1) is None
        found = reader.output(3 * SECOND)
        assert found is not None
        assert found.objects == ()
        assert reader.latencies_ms() == {}
        assert reader.diagnostics() == []


def test_a_bag_without_outputs_is_refused(tmp_path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_pose(SECOND, RigidTransform.identity())
    with pytest.raises(BagError, match=r"nothing was recorded on /bev/occupancy_grid.*running"):
        OutputReader(tmp_path / "bag")


def test_latencies_and_diagnostics_are_read_in_order(raw_bag) -> None:
    diagnostics, latency = "diagnostic_msgs/msg/DiagnosticArray", "std_msgs/msg/Float32"
    status = message_class("diagnostic_msgs/msg/DiagnosticStatus")
    rate = message_class("diagnostic_msgs/msg/KeyValue")("rate_hz", "9.9")
    late = status(1, "bev: camera front", "late", "", [rate])
    said = message_class(diagnostics)(make_header(SECOND, ""), [late])
    durations = [("engine", 70.0), ("engine", 72.5), ("total", 90.0)]
    messages = [
        *outputs_of_a_node(SECOND),
        ("/diagnostics", diagnostics, SECOND, said),
        *(
            (f"/bev/debug/latency_ms/{stage}", latency, SECOND, message_class(latency)(value))
            for stage, value in durations
        ),
    ]
    with OutputReader(raw_bag(messages)) as reader:
        assert {stage: list(values) for stage, values in reader.latencies_ms().items()} == {
            "engine": [70.0, 72.5],
            "total": [90.0],
        }
        (report,) = reader.diagnostics()
    assert (report.stamp_ns, report.name, report.level) == (SECOND, "bev: camera front", 1)
    assert (report.message, report.values) == ("late", {"rate_hz": "9.9"})


def outputs_of_a_node(stamp_ns: int) -> list[tuple[str, str, int, Any]]:
    """Empty grids and no objects."""
    grid = grid_to_message(stamp_ns, "base_link", GRID, np.zeros(GRID.shape, dtype=np.int8))
    return [
        ("/bev/occupancy_grid", OCCUPANCY_GRID, stamp_ns, grid),
        ("/bev/probability_grid", OCCUPANCY_GRID, stamp_ns, grid),
        ("/bev/centers", POINT_CLOUD, stamp_ns, centers_to_message(stamp_ns, "base_link", ())),
        ("/bev/markers", MARKER_ARRAY, stamp_ns, boxes_to_markers(stamp_ns, "base_link", ())),
    ]
