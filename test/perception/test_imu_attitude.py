# SPDX-License-Identifier: Apache-2.0
"""Roll and pitch from an IMU: braking is not pitch, pitch is, and nonsense is named."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from bev_perception.errors import BagError
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.imu import ImuSample
from bev_perception.perception.imu_attitude import ImuAttitude, ImuTilt
from bev_perception.perception.imu_levelling import ImuLevelling
from bev_perception.simulation.motion import IMU_MOUNTING, DriveMotion, imu_samples
from bev_perception.simulation.town import Town
from bev_perception.simulation.traffic import Traffic

SECOND = 1_000_000_000
GOAL_DEG = 0.3
NOD_DEG = 3.0

Poses = list[tuple[int, RigidTransform]]


def drive(speeds: Callable[[float], float], turn: float, duration_s: float) -> Poses:
    """Level poses at 10 Hz of a vehicle with these speeds, which turns from 5 s on."""
    poses, place, yaw = [], np.zeros(3), 0.0
    for step in range(round(duration_s * 100)):
        time = step / 100.0
        if step % 10 == 0:
            poses.append(
                (SECOND + step * SECOND // 100, RigidTransform.from_euler(0, 0, yaw, place))
            )
        yaw += turn * speeds(time) / 100.0 if time > 5.0 else 0.0
        place = place + np.array([math.cos(yaw), math.sin(yaw), 0.0]) * speeds(time) / 100.0
    return poses


def stopping(time: float) -> float:
    """14 m/s, from 3 s on braking at up to 6 m/s², standing from 6 s on, and on from 11 s."""
    if time < 11.0:
        return 14.0 * (1.0 - min(1.0, max(0.0, (time - 3.0) / 3.0)) ** 1.3)
    return min(10.0, 2.5 * (time - 11.0))


def planar(poses: Poses, noise_m: float = 0.004) -> Callable[[int], RigidTransform]:
    """Heading and noisy place as TF interpolates them; no roll, no pitch."""
    stamps = [stamp for stamp, _ in poses]
    places = np.stack([pose.translation for _, pose in poses])
    places += np.random.default_rng(5).normal(0.0, noise_m, places.shape)
    yaws = np.unwrap([pose.yaw for _, pose in poses])

    def at(stamp_ns: int) -> RigidTransform:
        place = [np.interp(stamp_ns, stamps, column) for column in places.T]
        return RigidTransform.from_euler(
            yaw=float(np.interp(stamp_ns, stamps, yaws)), translation=place
        )

    return at


def told(
    samples: Iterable[ImuSample],
    positions: Callable[[int], RigidTransform | None],
    base_T_imu: RigidTransform = IMU_MOUNTING,
) -> list[tuple[int, ImuTilt]]:
    """What the filter says, ten times per second from 2 s on."""
    attitude, found = ImuAttitude(positions), []
    for sample in samples:
        attitude.add(sample, base_T_imu)
        elapsed_ns = sample.stamp_ns - SECOND
        if elapsed_ns >= 2 * SECOND and elapsed_ns % (SECOND // 10) == 0:
            found.append((sample.stamp_ns, attitude.at(sample.stamp_ns)))
    return found


def errors_deg(found: list[tuple[int, ImuTilt]], motion: DriveMotion) -> np.ndarray:
    """(N, 2) of roll and pitch, where they are said to be known."""
    return np.array(
        [
            np.degrees(tilt.level_T_base.euler[:2] - motion.pose(stamp).euler[:2])
            for stamp, tilt in found
            if tilt.level_T_base is not None
        ]
    )


def at_rest(
    duration_s: float, roll_deg: float = 0.0, pitch_deg: float = 0.0, scale: float = 1.0
) -> list[ImuSample]:
    """Of a vehicle that stands on a slope, IMU and vehicle axes the same."""
    base_R_level = RigidTransform.from_euler(np.radians(roll_deg), np.radians(pitch_deg)).rotation.T
    force = base_R_level @ np.array([0.0, 0.0, 9.81 * scale])
    steps = range(round(duration_s * 100))
    return [ImuSample(SECOND + n * SECOND // 100, "imu", np.zeros(3), force) for n in steps]


def test_nodding_is_measured_while_the_vehicle_brakes_and_turns() -> None:
    poses = drive(stopping, 0.08, 15.0)
    motion = DriveMotion(poses, NOD_DEG)
    found = told(imu_samples(motion), planar(poses))
    errors = errors_deg(found, motion)
    assert len(errors) == len(found)
    pitches = [abs(motion.pose(stamp).euler[1]) for stamp, _ in found]
    assert math.degrees(max(pitches)) > 0.9 * NOD_DEG
    assert np.abs(errors).max() < GOAL_DEG
    assert max(tilt.sigma_deg for _, tilt in found) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("town", range(11000, 11006))
def test_nodding_in_towns_is_known_within_the_goal_after_two_seconds(town: int) -> None:
    traffic, poses = Traffic(Town(town), town), []
    for number in range(200):
        poses.append((SECOND + number * SECOND // 10, traffic.state().map_T_base))
        traffic.step(0.1)
    motion = DriveMotion(poses, NOD_DEG)
    found = told(imu_samples(motion, seed=town), planar(poses))
    errors = np.abs(errors_deg(found, motion))
    assert len(errors) > 0.97 * len(found)
    assert np.percentile(errors, 95) < GOAL_DEG


def test_without_positions_standing_tells_the_attitude_and_braking_is_not_pitch() -> None:
    def standing_first(time: float) -> float:
        return 0.0 if time < 7.0 else 10.0 - stopping(min(time, 12.9) - 4.0) * 10.0 / 14.0

    poses = drive(standing_first, 0.08, 16.0)
    motion = DriveMotion(poses, NOD_DEG)
    found = told(imu_samples(motion), lambda stamp_ns: None)
    known = [stamp for stamp, tilt in found if tilt.level_T_base is not None]
    assert known[0] - SECOND > 4 * SECOND
    assert known[-1] - SECOND > 15 * SECOND
    assert np.abs(errors_deg(found, motion)).max() < 1.0

    moving = DriveMotion(drive(lambda time: 2.0 + 0.05 * time**2.5, 0.05, 8.0), NOD_DEG)
    assert not len(errors_deg(told(imu_samples(moving), lambda stamp_ns: None), moving))


def test_a_pose_that_jumps_does_not_turn_the_vehicle() -> None:
    poses = drive(lambda time: 10.0, 0.02, 9.0)
    motion = DriveMotion(poses, 0.0)
    at = planar(poses)

    def jumping(stamp_ns: int) -> RigidTransform:
        pose = at(stamp_ns)
        shift = (0.0, 1.5, 0.0) if stamp_ns > 6 * SECOND else (0.0, 0.0, 0.0)
        return RigidTransform(pose.rotation, pose.translation + shift)

    assert np.abs(errors_deg(told(imu_samples(motion), jumping), motion)).max() < 0.5


def test_stamps_that_jump_begin_anew() -> None:
    samples = at_rest(6.0, pitch_deg=2.0)
    attitude = ImuAttitude(lambda stamp_ns: RigidTransform.identity())
    for sample in samples:
        attitude.add(sample, RigidTransform.identity())
    first = attitude.at(samples[-1].stamp_ns)
    assert first.level_T_base is not None
    assert math.degrees(first.level_T_base.euler[1]) == pytest.approx(2.0, abs=0.1)
    late = samples[-1].stamp_ns + SECOND
    assert "1.0 s older than the set" in attitude.at(late).problem
    for jump_ns in (-3 * SECOND, 100 * SECOND):
        moved = [
            ImuSample(s.stamp_ns + jump_ns, s.frame_id, s.angular_velocity, s.specific_force)
            for s in samples
        ]
        attitude.add(moved[0], RigidTransform.identity())
        assert "not been heard for long enough" in attitude.at(moved[0].stamp_ns).problem
        for sample in moved[1:]:
            attitude.add(sample, RigidTransform.identity())
        assert attitude.at(moved[-1].stamp_ns).level_T_base is not None


@pytest.mark.parametrize("late_ms", [11, 45, 99])
def test_samples_that_others_overtake_cost_no_more_than_themselves(late_ms: int) -> None:
    """Every fifth comes late, while the vehicle brakes and sets ask in between."""
    poses = drive(stopping, 0.08, 12.0)
    motion = DriveMotion(poses, NOD_DEG)
    arrivals = [
        (each.stamp_ns + (late_ms * SECOND // 1000 if index % 5 == 4 else 0), each)
        for index, each in enumerate(imu_samples(motion))
    ]
    levelling = ImuLevelling(planar(poses), lambda frame, stamp_ns: IMU_MOUNTING)
    newest_ns, num_late, errors = 0, 0, []
    for index, (_, sample) in enumerate(sorted(arrivals, key=lambda entry: entry[0])):
        num_late += sample.stamp_ns < newest_ns
        newest_ns = max(newest_ns, sample.stamp_ns)
        levelling.add(sample)
        if index % 10 == 7 and newest_ns > 3 * SECOND:
            _, attitude = levelling.at(newest_ns, None)
            assert attitude is not None, levelling.tilt.problem
            errors.append(np.degrees(attitude.euler[:2] - motion.pose(newest_ns).euler[:2]))
    assert num_late > 200
    assert len(errors) > 80
    assert np.abs(errors).max() < 2.0 * GOAL_DEG


@pytest.mark.parametrize(
    ("samples", "base_T_imu", "words"),
    [
        (at_rest(4.0, scale=1 / 9.81), RigidTransform.identity(), "multiples of g"),
        (at_rest(4.0, scale=0.002), RigidTransform.identity(), "must not take gravity out"),
        (at_rest(4.0), RigidTransform.from_euler(np.pi), "the IMU's frame in TF is not the one"),
    ],
    ids=["in g", "gravity taken out", "upside down"],
)
def test_nonsense_is_named_with_what_to_do(
    samples: list[ImuSample], base_T_imu: RigidTransform, words: str
) -> None:
    attitude = ImuAttitude(lambda stamp_ns: RigidTransform.identity())
    for sample in samples:
        attitude.add(sample, base_T_imu)
    tilt = attitude.at(samples[-1].stamp_ns)
    assert tilt.level_T_base is None
    assert words in tilt.problem


def test_the_imu_speaks_only_where_the_pose_tells_no_attitude() -> None:
    samples = at_rest(5.0, roll_deg=1.0, pitch_deg=-2.0)
    flat = RigidTransform.from_euler(yaw=0.7, translation=(3.0, 4.0, 0.0))
    tilted = RigidTransform.from_euler(0.0, 0.05, 0.7, (3.0, 4.0, 0.0))
    levelling = ImuLevelling(
        lambda stamp_ns: flat, lambda frame, stamp_ns: RigidTransform.identity()
    )
    for sample in samples:
        levelling.add(sample)
    stamp_ns = samples[-1].stamp_ns
    assert levelling.at(stamp_ns, tilted) == (tilted, None)
    assert not levelling.is_needed
    pose, attitude = levelling.at(stamp_ns, flat)
    assert attitude is None
    assert pose is not None
    np.testing.assert_allclose(np.degrees(pose.euler), (1.0, -2.0, math.degrees(0.7)), atol=0.1)
    np.testing.assert_allclose(pose.translation, flat.translation)
    pose, attitude = levelling.at(stamp_ns, None)
    assert pose is None
    assert attitude is not None
    np.testing.assert_allclose(np.degrees(attitude.euler), (1.0, -2.0, 0.0), atol=0.1)


def test_without_the_mounting_sets_stay_as_they_are_and_the_frame_is_named() -> None:
    def nowhere(frame: str, stamp_ns: int) -> RigidTransform:
        raise BagError(f"no transform from its frame {frame!r}")

    levelling = ImuLevelling(lambda stamp_ns: None, nowhere)
    for sample in at_rest(3.0):
        levelling.add(sample)
    assert levelling.at(4 * SECOND, None) == (None, None)
    assert levelling.tilt.problem == "no transform from its frame 'imu'"
