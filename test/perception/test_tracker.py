# SPDX-License-Identifier: Apache-2.0
"""Objects keep their ids and get the velocities that they have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.perception import Tracker
from bev_perception.perception.tracker import TrackerSettings

SECOND = 1_000_000_000
STEP = SECOND // 10


def box(x: float, y: float, yaw: float = 0.0) -> ObjectBox:
    pose = RigidTransform.from_euler(yaw=yaw, translation=(x, y, 0.8))
    return ObjectBox("car", 0, pose, np.array([4.5, 1.9, 1.6]))


def ego(x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> RigidTransform:
    return RigidTransform.from_euler(yaw=yaw, translation=(x, y, 0.0))


def test_a_moving_object_keeps_its_id_and_gets_its_velocity():
    tracker = Tracker()
    seen = [
        tracker.update([box(10 + 0.8 * index, 3.0)], index * STEP, ego())[0] for index in range(20)
    ]
    assert {each.object_id for each in seen} == {0}
    np.testing.assert_allclose(seen[-1].velocity, (8.0, 0.0, 0.0), atol=0.05)


@st.composite
def sightings(draw):
    """(n, 4) seconds since the one before, place on a line, velocity told, whether one was."""
    count = draw(st.integers(2, 8))
    speed = draw(st.floats(-15.0, 15.0))
    rows, place = [], 0.0
    for _ in range(count):
        elapsed = draw(st.sampled_from([0.05, 0.1, 0.25, 0.5]))
        place += speed * elapsed
        noise, told = draw(st.floats(-0.5, 0.5)), draw(st.floats(-20.0, 20.0))
        rows.append((elapsed, place + noise, told, draw(st.booleans()) and abs(told) > 0.1))
    return np.array(rows)


@given(sightings())
def test_velocities_are_those_of_the_most_likely_motion(seen):
    """Found at once by least squares over where it began, how fast, and each acceleration."""
    settings, stamp_s = TrackerSettings(gate_m=50.0), 0.0
    tracker = Tracker(settings)
    unknowns = 2 + len(seen) - 1
    position, velocity = np.eye(unknowns)[:2]
    rows, values = [velocity / settings.speed_m_per_s], [0.0]
    for index, (elapsed, place, told, is_told) in enumerate(seen):
        if index:
            stamp_s += elapsed
            pushed = np.eye(unknowns)[1 + index]
            rows.append(pushed / settings.acceleration_m_per_s2)
            values.append(0.0)
            position = position + elapsed * velocity + 0.5 * elapsed**2 * pushed
            velocity = velocity + elapsed * pushed
        rows.append(position / settings.position_m)
        values.append(place / settings.position_m)
        if is_told:
            rows.append(velocity / settings.told_m_per_s)
            values.append(told / settings.told_m_per_s)
        one = box(place, 0.0)
        if is_told:
            one = replace(one, velocity=np.array([told, 0.0, 0.0]))
        (found,) = tracker.update([one], round(stamp_s * SECOND), ego())
        assert found.object_id == 0
    motion = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    np.testing.assert_allclose(found.velocity, (velocity @ motion, 0.0, 0.0), atol=1e-6)


def test_velocity_is_over_ground_and_in_the_moving_vehicles_frame():
    """The vehicle drives north at 5 m/s looking north; the other drives east at 4 m/s."""
    tracker = Tracker()
    for index in range(20):
        world_T_base = ego(0.0, 0.5 * index, np.pi / 2)
        world_T_box = RigidTransform.from_euler(translation=(0.4 * index, 20.0, 0.8))
        pose = world_T_base.inverse() @ world_T_box
        seen = ObjectBox("car", 0, pose, np.array([4.5, 1.9, 1.6]))
        (found,) = tracker.update([seen], index * STEP, world_T_base)
    np.testing.assert_allclose(found.velocity, (0.0, -4.0, 0.0), atol=0.05)


def test_parked_cars_stay_at_rest_while_the_vehicle_turns():
    tracker = Tracker()
    for index in range(20):
        world_T_base = ego(0.6 * index, 0.0, 0.05 * index)
        parked = [box(30.0, 5.0).transformed(world_T_base.inverse())]
        (found,) = tracker.update(parked, index * STEP, world_T_base)
    assert found.object_id == 0
    assert np.linalg.norm(found.velocity) < 1e-6


def test_two_objects_that_pass_each_other_keep_their_ids():
    tracker = Tracker()
    for index in range(30):
        pair = [box(-15.0 + index, 0.0), box(15.0 - index, 3.0)]
        found = tracker.update(pair[:: 1 if index % 2 else -1], index * STEP, ego())
        by_side = sorted(found, key=lambda each: each.center[1])
        if index == 0:
            first = [each.object_id for each in by_side]
    assert [each.object_id for each in by_side] == first
    assert by_side[0].velocity[0] == pytest.approx(10.0, abs=0.05)
    assert by_side[1].velocity[0] == pytest.approx(-10.0, abs=0.05)


def test_an_object_hidden_for_a_moment_comes_back_with_its_id():
    tracker = Tracker()
    for index in range(10):
        tracker.update([box(1.0 * index, 0.0)], index * STEP, ego())
    for index in range(10, 15):
        assert tracker.update([], index * STEP, ego()) == ()
    (found,) = tracker.update([box(15.0, 0.0)], 15 * STEP, ego())
    assert found.object_id == 0


def test_an_object_gone_for_long_is_a_new_one():
    tracker = Tracker()
    tracker.update([box(0.0, 0.0)], 0, ego())
    (found,) = tracker.update([box(0.0, 0.0)], 3 * SECOND, ego())
    assert found.object_id == 1


def test_motion_turns_the_heading_that_a_rectangle_leaves_open():
    tracker = Tracker()
    for index in range(5):
        (found,) = tracker.update([box(20 - index, 0.0, yaw=0.1)], index * STEP, ego())
    assert found.pose.rotation[:, 0] @ found.velocity > 0
    assert abs(found.pose.yaw) == pytest.approx(np.pi - 0.1)


@pytest.mark.parametrize("has_pose", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_standing_object_does_not_turn_round(seed, has_pose):
    """Across the vehicle's way, where a rectangle's heading jumps between left and right."""
    tracker, random, yaws = Tracker(), np.random.default_rng(seed), []
    for index in range(60):
        yaw = np.pi / 2 + random.normal(0.0, 0.05)
        x, y = random.normal((12.0, 3.0), 0.5)
        seen = [box(x, y, yaw=yaw if abs(yaw) < np.pi / 2 else yaw - np.pi)]
        (found,) = tracker.update(seen, index * STEP, ego() if has_pose else None)
        yaws.append(found.pose.yaw)
    assert np.ptp(yaws) < 0.5


def test_what_stops_looks_where_it_came_from_while_the_vehicle_turns_away():
    tracker, world_yaws = Tracker(), []
    for index in range(60):
        world_T_base = ego(0.0, 0.0, 0.06 * max(0, index - 20))
        oncoming = box(30.0 - 0.5 * min(index, 20), 0.0).transformed(world_T_base.inverse())
        yaw = np.arctan(np.tan(oncoming.pose.yaw))  # within 90 degrees of the x axis
        pose = RigidTransform.from_euler(yaw=yaw, translation=oncoming.center)
        (found,) = tracker.update([replace(oncoming, pose=pose)], index * STEP, world_T_base)
        world_yaws.append((world_T_base @ found.pose).rotation[0, 0])
    assert np.linalg.norm(found.velocity) < 0.5
    np.testing.assert_allclose(world_yaws[5:], -1.0, atol=1e-6)


def test_parked_cars_stay_parked_where_odometry_takes_over():
    """Poses fall from map to odom, 2 m to the side; ids are new, none is used again."""
    tracker, seen = Tracker(), set()
    for index in range(20):
        frame, offset = ("map", 0.0) if index < 10 else ("odom", 2.0)
        world_T_base = ego(0.5 * index, 0.0)
        parked = [box(30.0 + 6.0 * n, 4.0).transformed(world_T_base.inverse()) for n in range(3)]
        found = tracker.update(parked, index * STEP, ego(0.5 * index, offset), frame)
        for each, told in zip(found, parked):
            np.testing.assert_allclose(each.velocity, 0.0, atol=1e-9)
            assert each.pose.is_close(told.pose)
        seen.add((frame, *(each.object_id for each in found)))
    assert seen == {("map", 0, 1, 2), ("odom", 3, 4, 5)}


@pytest.mark.parametrize(("own_speed", "speed"), [(10.0, 0.0), (10.0, 10.0), (20.0, -5.0)])
def test_late_poses_neither_lose_a_car_nor_move_it(own_speed, speed):
    """Poses at 3 Hz, moments at 10 Hz; a car that is parked, driven behind, or comes."""
    tracker, velocities = Tracker(), []
    for index in range(30):
        age_ns = index % 3 * STEP
        seen = [box(20.0 + (speed - own_speed) * index * STEP / SECOND, 3.0)]
        world_T_base = ego(own_speed * (index * STEP - age_ns) / SECOND)
        (found,) = tracker.update(seen, index * STEP, world_T_base, "map", age_ns)
        assert found.object_id == 0
        velocities.append(found.velocity[0])
    np.testing.assert_allclose(velocities[12:], speed, atol=0.25)


def test_poses_that_are_always_as_late_show_the_same_motion():
    tracker, late_ns = Tracker(), 3 * STEP
    for index in range(40):
        world_T_base = ego(10.0 * (index * STEP - late_ns) / SECOND)
        (found,) = tracker.update([box(20.0, 3.0)], index * STEP, world_T_base, "map", late_ns)
        assert found.object_id == 0
    np.testing.assert_allclose(found.velocity, (10.0, 0.0, 0.0), atol=0.5)


def test_without_ego_pose_ids_hold_and_velocities_stay_unknown():
    tracker = Tracker()
    for index in range(5):
        (found,) = tracker.update([box(10 + 0.5 * index, 0.0)], index * STEP, None)
    assert found.object_id == 0
    assert np.isnan(found.velocity).all()


def test_time_that_goes_back_starts_anew_without_using_ids_again():
    tracker = Tracker()
    tracker.update([box(0.0, 0.0)], 10 * SECOND, ego())
    (found,) = tracker.update([box(0.0, 0.0)], 0, ego())
    assert found.object_id == 1
