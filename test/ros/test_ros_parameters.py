# SPDX-License-Identifier: Apache-2.0
"""The perception node's parameters, read from a node without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from bev_perception.errors import ConfigurationError
from bev_perception.perception import PipelineSettings
from bev_perception.ros.parameter_table import LIVE, PARAMETERS
from bev_perception.ros.parameters import (
    NodeParameters,
    declare_parameters,
    read_parameters,
)


@pytest.fixture
def read(ros_environment: Any) -> Iterator[Callable[..., NodeParameters]]:
    """read(name=value, ...): the parameters of a node started with these."""
    from rclpy.parameter import Parameter

    nodes = []

    def read(**values: Any) -> NodeParameters:
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        nodes.append(ros_environment.create_node("bev", parameter_overrides=overrides))
        declare_parameters(nodes[-1])
        return read_parameters(nodes[-1])

    yield read
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize("name", LIVE)
def test_both_ends_of_a_range_that_the_node_declares_are_values_that_it_takes(name: str) -> None:
    entry = PARAMETERS[name]
    for value in (entry.low, entry.high):
        replace(PipelineSettings(), **{name: type(entry.default)(value)})


def test_a_frame_loses_the_slash_that_tf_refuses(read: Callable[..., NodeParameters]) -> None:
    assert read(base_frame="/base_footprint").base_frame == "base_footprint"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cameras": "front"}, r"a list of names such as \[front, rear\]"),
        ({"cameras": ["front", "front"]}, "1 to 8 different cameras"),
        ({"cameras": ["front left"]}, "cannot be part of a topic name"),
        ({"base_frame": "/"}, "base_frame is empty"),
        ({"min_cameras": 5}, "min_cameras is 5, but cameras names only 4"),
        ({"occupancy_threshold": "high"}, "occupancy_threshold must be a number"),
        ({"sync_timeout_ms": 10}, "must not be less than sync_tolerance_ms"),
        ({"rectified": "yes please"}, "rectified must be one of auto, true, false"),
        ({"rectified": 1}, "rectified must be one of auto, true, false"),
        ({"grid_durability": "latched"}, "one of volatile, transient_local"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    read: Callable[..., NodeParameters], values: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read(**values)
