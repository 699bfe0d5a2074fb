# SPDX-License-Identifier: Apache-2.0
"""Parameters of the simulators' nodes, read from a node that drives nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("moderngl", reason="the town needs moderngl")

from bev_perception.errors import ConfigurationError
from bev_perception.ros.carla_settings import CarlaDriveSettings
from bev_perception.ros.declared_settings import declare_settings
from bev_perception.ros.town_settings import TownSettings

KINDS = (TownSettings, CarlaDriveSettings)


@pytest.fixture
def make_node(ros_environment: Any) -> Iterator[Callable[..., Any]]:
    """make_node(name=value, ...): a node started with these parameters."""
    from rclpy.parameter import Parameter

    nodes = []

    def make(**values: Any) -> Any:
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        nodes.append(ros_environment.create_node("drive", parameter_overrides=overrides))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_described_and_fixed_but_the_pause(
    kind: type, make_node: Callable[..., Any]
) -> None:
    node = make_node()
    declare_settings(node, kind, "drive")
    descriptors = node.describe_parameters([entry.name for entry in fields(kind)])
    for entry in descriptors:
        assert " " in entry.description, entry.name
        assert entry.read_only == (entry.name != "paused")
    assert {"rate_hz", "wait_for_topic", "jpeg_quality"} <= {entry.name for entry in descriptors}


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (TownSettings, {"rate_hz": 300.0}, "parameter rate_hz of the drive node: .* 0.1"),
        (TownSettings, {"weather": "snow"}, "weather .*'snow' is none of .*'fog'"),
        (CarlaDriveSettings, {"port": 70000}, "parameter port .*1.*65535"),
        (CarlaDriveSettings, {"ego_mode": "borrow"}, "'borrow' is none of 'spawn', 'existing'"),
        (CarlaDriveSettings, {"fixed_delta_s": 0.5}, "parameter fixed_delta_s"),
        (CarlaDriveSettings, {"vehicles": "many"}, "parameter vehicles"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    kind: type, values: dict[str, Any], words: str, make_node: Callable[..., Any]
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        declare_settings(make_node(**values), kind, "drive")
