# SPDX-License-Identifier: Apache-2.0
"""Parameters that a node does not have are told with the name that was probably meant."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from rclpy.parameter import Parameter

from bev_perception.ros.parameter_table import PARAMETERS
from bev_perception.ros.parameters import declare_parameters
from bev_perception.ros.unknown_parameters import (
    unknown_parameter_text,
    warn_of_unknown_parameters,
)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sync_timout_ms", "sync_timeout_ms"),
        ("camera", "cameras"),
        ("occupancy-threshold", "occupancy_threshold"),
    ],
)
def test_the_nearest_name_is_suggested(given: str, meant: str) -> None:
    assert f"did you mean {meant}?" in unknown_parameter_text(given, PARAMETERS)


def test_what_resembles_nothing_is_not_guessed() -> None:
    assert "ros2 param list" in unknown_parameter_text("robot_description", PARAMETERS)


def test_only_what_the_node_does_not_have_is_warned_of(
    ros_environment: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    given = {
        "occupancy_treshold": 0.4,
        "occupancy_threshold": 0.6,
        "use_sim_time": False,
        "qos_overrides./clock.subscription.depth": 3,
    }
    overrides = [Parameter(name, value=value) for name, value in given.items()]
    node = ros_environment.create_node("bev", parameter_overrides=overrides)
    declare_parameters(node)
    warn_of_unknown_parameters(node)
    warnings = [line for line in capfd.readouterr().err.splitlines() if "WARN" in line]
    node.destroy_node()
    assert len(warnings) == 1
    assert "parameter occupancy_treshold is ignored" in warnings[0]
    assert "did you mean occupancy_threshold?" in warnings[0]
