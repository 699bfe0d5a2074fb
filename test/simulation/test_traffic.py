# SPDX-License-Identifier: Apache-2.0
"""Traffic: no two bodies touch, velocities are true, the ego vehicle drives."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.errors import ConfigurationError
from bev_perception.simulation.footprints import rectangle_corners, rectangles_overlap
from bev_perception.simulation.guard import bodies_to_stop
from bev_perception.simulation.scene import CATALOG, WorldState
from bev_perception.simulation.town import Town
from bev_perception.simulation.traffic import Traffic

EGO_SIZE = CATALOG["sedan"].size


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(3)


def _footprints(state: WorldState) -> np.ndarray:
    """(N, 4, 2) of everything, the ego vehicle first."""
    base = state.map_T_base
    center = base.apply((1.35, 0.0, 0.0))[:2]
    ego = rectangle_corners([center], [base.yaw], [EGO_SIZE[0]], [EGO_SIZE[1]])
    return np.concatenate([ego, [o.box.footprint for o in state.objects]])


def _overlaps(state: WorldState) -> int:
    """How many pairs interpenetrate by more than a centimetre."""
    shapes = _footprints(state)
    middle = shapes.mean(axis=1, keepdims=True)
    reach = np.linalg.norm(shapes - middle, axis=2, keepdims=True)
    shapes = middle + (shapes - middle) * (1.0 - 0.01 / reach)
    first, second = np.nonzero(
        np.triu(np.linalg.norm(middle - middle[:, 0][None], axis=2) < 13.0, 1)
    )
    return int(rectangles_overlap(shapes[first], shapes[second]).sum())


@pytest.mark.parametrize(("town_seed", "seed"), [(0, 0), (10_003, 2)])
def test_no_bodies_overlap_during_a_minute(town_seed: int, seed: int) -> None:
    traffic = Traffic(Town(town_seed), seed)
    for _ in range(120):
        traffic.step(0.5)
        assert _overlaps(traffic.state()) == 0


def test_busier_streets_have_more_vehicles_that_move_and_none_overlap(town: Town) -> None:
    moving = []
    for traffic in (Traffic(town, 3), Traffic(town, 3, busier=2.5)):
        moving.append(0)
        for _ in range(8):
            traffic.step(0.5)
            state = traffic.state()
            assert _overlaps(state) == 0
            moving[-1] += sum(
                np.linalg.norm(o.box.velocity) > 1.0 and o.box.label != "pedestrian"
                for o in state.objects
            )
    assert moving[1] > 1.4 * moving[0] > 0
    with pytest.raises(ConfigurationError, match="positive factor, got 0"):
        Traffic(town, 0, busier=0.0)


def test_equal_seeds_and_steps_give_equal_states(town: Town) -> None:
    first, second = Traffic(town, 4), Traffic(town, 4)
    for _ in range(20):
        first.step(0.1)
    for _ in range(10):
        second.step(0.2)
    a, b = first.state(), second.state()
    assert a.stamp_ns == b.stamp_ns
    assert a.map_T_base.matrix.tobytes() == b.map_T_base.matrix.tobytes()
    assert [o.box.object_id for o in a.objects] == [o.box.object_id for o in b.objects]
    assert all(np.array_equal(p.box.center, q.box.center) for p, q in zip(a.objects, b.objects))


def test_other_seeds_start_elsewhere(town: Town) -> None:
    starts = {Traffic(town, seed).state().map_T_base.translation.tobytes() for seed in range(3)}
    assert len(starts) == 3


def test_velocities_equal_the_motion_between_states(town: Town) -> None:
    traffic, dt = Traffic(town, 1), 0.02
    errors, moving = [], 0
    for _ in range(5):
        traffic.step(2.0)
        before = traffic.state()
        traffic.step(dt)
        after = traffic.state()
        known = {o.box.object_id: o.box for o in before.objects}
        for item in after.objects:
            if item.box.object_id in known:
                motion = (item.box.center - known[item.box.object_id].center)[:2] / dt
                errors.append(np.abs(motion - item.box.velocity[:2]).max())
                moving += float(np.linalg.norm(motion)) > 1.0
        motion = (after.map_T_base.translation - before.map_T_base.translation) / dt
        np.testing.assert_allclose(motion, after.ego_velocity, atol=1e-6)
    assert max(errors) < 1e-6
    assert moving > 20


def test_headings_follow_velocities_of_moving_vehicles(town: Town) -> None:
    traffic = Traffic(town, 1)
    traffic.step(10.0)
    cosines = []
    for item in traffic.state().objects:
        speed = float(np.linalg.norm(item.box.velocity))
        if item.box.is_vehicle and speed > 3.0:
            cosines.append(item.box.velocity @ item.box.pose.rotation[:, 0] / speed)
    assert len(cosines) > 5
    assert min(cosines) > np.cos(np.radians(12.0))


def test_ids_are_unique_and_keep_model_and_size(town: Town) -> None:
    traffic = Traffic(town, 2)
    seen: dict[int, str] = {}
    for _ in range(10):
        traffic.step(1.0)
        ids = [o.box.object_id for o in traffic.state().objects]
        assert len(set(ids)) == len(ids)
        for item in traffic.state().objects:
            assert seen.setdefault(item.box.object_id, item.model) == item.model
            assert tuple(item.box.size) == CATALOG[item.model].size
            assert item.box.label == CATALOG[item.model].label


def test_ego_vehicle_travels_and_never_jumps(town: Town) -> None:
    traffic = Traffic(town, 0)
    places = [traffic.state().map_T_base.translation]
    for _ in range(900):
        traffic.step(0.1)
        if traffic.stamp_ns % 500_000_000 == 0:
            places.append(traffic.state().map_T_base.translation)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert steps.max() < 14.0 * 0.5
    assert steps.sum() > 150.0
    assert np.all(np.array(places)[:, 2] == 0.0)


def test_traffic_still_flows_after_minutes(town: Town) -> None:
    traffic = Traffic(town, 6)
    traffic.step(120.0)
    speeds: dict[int, list[float]] = {}
    for _ in range(30):
        traffic.step(1.0)
        for item in traffic.state().objects:
            if item.box.is_vehicle:
                speed = float(np.linalg.norm(item.box.velocity))
                speeds.setdefault(item.box.object_id, []).append(speed)
    driving = [values for values in speeds.values() if max(values) > 0.5]
    assert len(driving) >= 5
    assert np.mean(np.concatenate(driving)) > 2.5


def test_streets_are_busy_with_many_kinds_and_headings() -> None:
    near, labels, headings = [], set(), []
    for seed in range(4):
        state = Traffic(Town(20 + seed), seed).state()
        base_T_map = state.map_T_base.inverse()
        boxes = [o.box.transformed(base_T_map) for o in state.objects]
        labels |= {box.label for box in boxes}
        vehicles = [box for box in boxes if box.is_vehicle]
        near.append(sum(np.abs(box.center[:2]).max() < 50.0 for box in vehicles))
        headings += [box.pose.yaw for box in vehicles]
    assert 10 < np.mean(near) < 80
    assert labels >= {"car", "van", "truck", "bus", "motorcycle", "bicycle", "pedestrian"}
    assert np.histogram(headings, 8, (-np.pi, np.pi))[0].min() > 10


def test_only_objects_near_the_ego_vehicle_are_reported(town: Town) -> None:
    state = Traffic(town, 0).state()
    ego = state.map_T_base.translation
    assert state.stamp_ns > 0
    assert all(np.linalg.norm((o.box.center - ego)[:2]) < 120.0 for o in state.objects)


def test_bodies_stand_on_the_ground(town: Town) -> None:
    for item in Traffic(town, 0).state().objects:
        foot = item.box.center[2] - item.box.size[2] / 2.0
        assert -1e-9 <= foot <= 0.14


def test_guard_stops_who_drives_at_another() -> None:
    stopped = bodies_to_stop(
        np.array([[0.0, 0.0], [5.0, 0.0]]), np.zeros(2),
        np.array([[1.0, 0.0], [5.0, 0.0]]), np.zeros(2),
        np.array([2.3, 2.3]), np.array([0.9, 0.9]), np.zeros((0, 2)), 0.4,
    )  # fmt: skip
    assert stopped.tolist() == [True, False]


def test_guard_stops_before_a_pedestrian() -> None:
    stopped = bodies_to_stop(
        np.array([[0.0, 0.0]]), np.zeros(1), np.array([[0.5, 0.0]]), np.zeros(1),
        np.array([2.0]), np.array([0.9]), np.array([[2.8, 0.0]]), 0.4,
    )  # fmt: skip
    assert stopped.tolist() == [True]


@pytest.mark.parametrize(
    "arguments", [{"seed": -1}, {"seed": 0, "vehicles": 0}, {"seed": 0, "pedestrians": -1}]
)
def test_impossible_traffic_is_refused(town: Town, arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        Traffic(town, **arguments)


def test_a_town_without_other_traffic_has_only_parked_vehicles(town: Town) -> None:
    state = Traffic(town, 0, vehicles=1, pedestrians=0).state()
    assert all(not o.box.velocity.any() for o in state.objects)


def test_time_must_move_forward(town: Town) -> None:
    with pytest.raises(ConfigurationError, match="longer than 0"):
        Traffic(town, 0).step(0.0)
