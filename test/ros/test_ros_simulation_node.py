# SPDX-License-Identifier: Apache-2.0
"""The town node's end: on Ctrl-C, and on what cannot work."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("moderngl", reason="the town needs moderngl")

from town_node import TOWN, rig_file, town

__all__ = ["rig_file", "town"]


@pytest.mark.parametrize("waiting", [True, False])
def test_ctrl_c_ends_it_cleanly(town: Callable[..., Any], waiting: bool) -> None:
    node = town(num_sets=0, wait_for_subscribers=100 if waiting else 0)
    node.wait_for_log(f"town {TOWN}")
    assert node.stop() == 0
    assert "Traceback" not in node.log


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"rig_file": "/nowhere.yaml"}, "/nowhere.yaml"),
        ({"wait_for_subscribers_on": ["/odm"]}, "/odm; it publishes .*/odom"),
        ({"environment": {"__EGL_VENDOR_LIBRARY_FILENAMES": "/no.json"}}, "install libegl1"),
    ],
    ids=["rig file", "topic", "no EGL"],
)
def test_what_cannot_work_is_one_line_and_exit_code_2(
    town: Callable[..., Any], parameters: dict[str, Any], expected: str
) -> None:
    node = town(**parameters)
    assert node.wait() == 2
    errors = [line for line in node.log.splitlines() if line.startswith("simulation_node: error:")]
    assert len(errors) == 1, node.log
    assert re.search(expected, errors[0])
    assert "Traceback" not in node.log
