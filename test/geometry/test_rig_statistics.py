# SPDX-License-Identifier: Apache-2.0
"""What rigs have in common, as weights keep it."""

from __future__ import annotations

import json

import pytest

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.rig_statistics import RigStatistics


def rig(height_m: float, fov_deg: float, *yaws: float, pitch: float = 0.1) -> Rig:
    camera = PinholeCamera.from_field_of_view(64, 48, fov_deg)
    return Rig(
        {
            f"camera{index}": RigCamera(
                camera,
                RigidTransform.from_euler(pitch=pitch, yaw=yaw, translation=(1.0, 0.0, height_m))
                @ BODY_T_OPTICAL,
            )
            for index, yaw in enumerate(yaws)
        }
    )


def test_ranges_over_all_cameras_of_all_rigs() -> None:
    found = RigStatistics.of([rig(1.5, 90.0, 0.0, 1.5708), rig(2.0, 60.0, 0.02, pitch=-0.05)])
    assert found.rigs == 2
    assert found.cameras == (1, 2)
    assert found.height_m == (1.5, 2.0)
    assert found.horizontal_fov_deg == (60.0, 90.0)
    assert found.pitch_deg == pytest.approx((-5.73, 2.865), abs=0.01)  # positive is up
    assert found.yaw_deg == (0.0, 90.0)  # 1.1 degrees beside 0 are no direction of their own


def test_values_survive_json() -> None:
    found = RigStatistics.of([rig(1.5, 90.0, 0.0, 1.5708)])
    assert RigStatistics.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize("values", [{}, {"rigs": "many"}, {"rigs": 1, "cameras": [1]}])
def test_other_values_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="no rig statistics"):
        RigStatistics.from_dict(values)


def test_no_rig_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no rig"):
        RigStatistics.of([])
