# SPDX-License-Identifier: Apache-2.0
"""Errors of mountings are found in what images show, in every camera around a vehicle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from moving_scene import VIEWS_DEG, evidence_of, mounted, ring, step

from bev_perception.doctor.geometry_mounting import MountingEstimate, estimate_mounting
from bev_perception.doctor.geometry_residuals import Error, corrected, mended
from bev_perception.doctor.geometry_vehicle import own_error, shared_error
from bev_perception.geometry import Rig, RigidTransform

TURN = math.radians(3.0)
TOLERANCE = np.array([*np.radians([0.2, 0.2, 0.2]), 0.03, 0.01])


def estimated(yaw_deg: float, error: np.ndarray, moments: int = 4) -> MountingEstimate:
    """The estimate for a camera whose calibration has an error."""
    random = np.random.default_rng(7)
    true = mounted(yaw_deg)
    told = mended(true, -error)
    turns = np.linspace(-1.0, 2.0, moments)
    return estimate_mounting(
        [evidence_of(true, told, step(turn_deg=turn), random) for turn in turns], told
    )


@pytest.mark.parametrize(
    ("view", "place", "size"),
    [
        ("front", Error.YAW, TURN),
        ("left", Error.PITCH, -TURN),
        ("rear", Error.ROLL, TURN),
        ("right", Error.HEIGHT, 0.3),
        ("front", Error.FOCAL, math.log(1.1)),
    ],
)
def test_an_error_of_the_calibration_is_measured_and_no_other_is_seen(
    view: str, place: Error, size: float
) -> None:
    error = np.zeros(len(Error))
    error[place] = size
    found = estimated(VIEWS_DEG[view], error)
    assert (abs(found.error - error)[: Error.KERB] < TOLERANCE).all()
    assert found.sigma[place] < abs(size) / 4.0


def test_what_nothing_shows_stays_unsure() -> None:
    random = np.random.default_rng(3)
    entry = mounted(0.0)
    seen = [evidence_of(entry, entry, None, random) for _ in range(3)]  # the vehicle stands
    found = estimate_mounting(seen, entry)
    assert found.sigma[Error.YAW] > math.radians(3.0)
    assert found.sigma[Error.HEIGHT] > 0.3
    assert abs(found.error[[Error.PITCH, Error.ROLL]]).max() < math.radians(0.2)


def test_a_turn_of_the_vehicle_is_not_blamed_on_its_cameras() -> None:
    rig = ring()
    tilt = RigidTransform.from_euler(math.radians(1.5), math.radians(-2.5), 0.0)
    estimates = {}
    for name, entry in rig.cameras.items():
        yaw = math.radians(VIEWS_DEG[name])
        error = np.zeros(len(Error))
        error[Error.ROLL] = math.cos(yaw) * 0.0262 - math.sin(yaw) * 0.0436
        error[Error.PITCH] = -math.sin(yaw) * 0.0262 - math.cos(yaw) * 0.0436
        turned = corrected(entry.base_T_camera, error)
        assert turned.angle_to(tilt @ entry.base_T_camera) < math.radians(0.1)
        error[Error.YAW] = TURN if name == "left" else 0.0
        estimates[name] = MountingEstimate(error, np.full(len(Error), 0.001), 99, 99, 99)
    shared = shared_error(estimates, rig)
    assert np.degrees(shared.turn) == pytest.approx([1.5, -2.5, 0.0], abs=0.01)
    for name, estimate in estimates.items():
        own = own_error(rig, name, estimate.error, shared)
        assert own[Error.YAW] == (TURN if name == "left" else 0.0)
        assert abs(own[[Error.PITCH, Error.ROLL]]).max() < math.radians(0.01)


def test_two_cameras_do_not_outvote_each_other() -> None:
    rig = Rig({name: mounted(VIEWS_DEG[name]) for name in ("front", "rear")})
    error = np.zeros(len(Error))
    error[Error.YAW] = TURN
    estimate = MountingEstimate(error, np.full(len(Error), 0.001), 99, 99, 99)
    shared = shared_error({"front": estimate, "rear": estimate}, rig)
    assert not shared.turn.any()
