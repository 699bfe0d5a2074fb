# SPDX-License-Identifier: Apache-2.0
"""Rigs drawn around a given one stay within their bounds and can be drawn again."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.rig_file import load_rig
from bev_perception.resources import config_path
from bev_perception.simulation.rig_variation import RigVariation, varied_rig

RIG = load_rig(config_path("rigs/default.yaml"))


def differences(rig: Rig):
    """Per camera: position (m), roll, pitch and yaw of the body (degrees), focal length (share)."""
    rows = []
    for name, entry in rig.cameras.items():
        true = RIG[name]
        before, after = (e.base_T_camera @ BODY_T_OPTICAL.inverse() for e in (true, entry))
        turn = np.degrees(after.euler - before.euler)
        turn = (turn + 180.0) % 360.0 - 180.0
        focal = entry.camera.fx / true.camera.fx - 1.0
        rows.append([*(after.translation - before.translation), *turn, focal])
    return np.array(rows)


def test_every_value_stays_within_its_bounds_and_uses_them():
    bounds = np.array([0.2, 0.2, 0.2, 1.0, 3.0, 5.0, 0.1])
    drawn = np.stack([differences(varied_rig(RIG, 1, town)) for town in range(200)])
    assert (np.abs(drawn) <= bounds + 1e-9).all()
    assert (np.abs(drawn).max(axis=(0, 1)) > 0.9 * bounds).all()
    assert (np.abs(drawn.mean(axis=(0, 1))) < 0.1 * bounds).all()


def test_heights_vary_mostly_together_and_angles_each_on_their_own():
    drawn = np.stack([differences(varied_rig(RIG, 1, town)) for town in range(200)])
    correlation = [np.corrcoef(drawn[:, 0, column], drawn[:, 1, column])[0, 1] for column in (2, 4)]
    assert correlation[0] > 0.6
    assert abs(correlation[1]) < 0.3


def test_the_same_seeds_draw_the_same_rig_and_others_another():
    assert varied_rig(RIG, 1, 7) == varied_rig(RIG, 1, 7)
    assert len({varied_rig(RIG, seed, town) for seed in (1, 2) for town in (7, 8)}) == 4


def test_what_is_not_varied_stays():
    still = RigVariation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    same = varied_rig(RIG, 1, 7, still)
    assert same.names == RIG.names
    for name, entry in varied_rig(RIG, 3, 5).cameras.items():
        assert same[name].base_T_camera.is_close(RIG[name].base_T_camera)
        assert same[name].camera == RIG[name].camera
        assert entry.frame_id == RIG[name].frame_id
        assert (entry.camera.width, entry.camera.cx) == (
            RIG[name].camera.width,
            RIG[name].camera.cx,
        )
        assert entry.camera.fx / entry.camera.fy == pytest.approx(
            RIG[name].camera.fx / RIG[name].camera.fy
        )


def test_no_camera_sinks_into_the_ground():
    deep = RigVariation(height_m=5.0)
    heights = [
        entry.base_T_camera.translation[2]
        for town in range(40)
        for entry in varied_rig(RIG, 1, town, deep).cameras.values()
    ]
    assert min(heights) == pytest.approx(0.2)


def test_bounds_that_make_no_sense_are_refused():
    with pytest.raises(ConfigurationError, match="pitch_deg"):
        RigVariation(pitch_deg=-1.0)
    with pytest.raises(ConfigurationError, match="focal"):
        RigVariation(focal=1.0)
