# SPDX-License-Identifier: Apache-2.0
"""The CARLA node: parameters, what it says when it cannot drive, and its parameter file."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from bev_perception.resources import config_path

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.ros.carla_settings import CarlaDriveSettings

NODE = "bev_perception.ros.carla_node"


@pytest.fixture
def carla_node(ros_process: Any) -> Callable[..., Any]:
    """carla_node(**parameters): the node."""

    def start(environment: dict[str, str] | None = None, **parameters: Any) -> Any:
        return ros_process(NODE, parameters=parameters, environment=environment)

    return start


def error_of(node: Any) -> str:
    """The one line of a node that has ended."""
    assert node.wait() == 2
    errors = [line for line in node.log.splitlines() if line.startswith("carla_node: error:")]
    assert len(errors) == 1, node.log
    assert "Traceback" not in node.log
    return errors[0]


def test_the_parameter_file_holds_every_parameter_with_its_default_and_a_comment() -> None:
    text = config_path("carla.yaml").read_text()
    shipped = yaml.safe_load(text)["/**"]["ros__parameters"]
    defaults = {entry.name: entry.default for entry in fields(CarlaDriveSettings)}
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in defaults.items()}
    assert shipped == plain
    assert {name: type(value) for name, value in shipped.items()} == {
        name: type(value) for name, value in plain.items()
    }


def test_every_setting_of_a_session_is_a_parameter_with_the_same_default() -> None:
    parameters = {entry.name: entry.default for entry in fields(CarlaDriveSettings)}
    for entry in fields(CarlaSettings):
        assert parameters[entry.name] == entry.default, entry.name


def test_nobody_at_the_port_is_told_with_what_to_do(carla_node: Callable[..., Any]) -> None:
    pytest.importorskip("carla", reason="the carla package is not installed")
    with socket.create_server(("localhost", 0)) as probe:
        port = probe.getsockname()[1]
    error = error_of(carla_node(port=port, timeout_s=1.0))
    assert f"no CARLA server answers at localhost:{port} within 1 s" in error
    assert "start one" in error


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"ego_mode": "borrow"}, "parameter ego_mode of the CARLA node: 'borrow' is none"),
        ({"rate_hz": 7.0}, "rate_hz 7 is no whole number of ticks"),
        ({"rig_file": "/nowhere.yaml"}, "/nowhere.yaml"),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_code_2(
    carla_node: Callable[..., Any], parameters: dict[str, Any], expected: str
) -> None:
    pytest.importorskip("carla", reason="the carla package is not installed")
    assert re.search(expected, error_of(carla_node(**parameters)))


def test_a_missing_carla_package_is_told_with_the_way_to_it(
    carla_node: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "carla.py").write_text("raise ModuleNotFoundError('no carla', name='carla')\n")
    error = error_of(carla_node({"PYTHONPATH": str(tmp_path)}))
    assert "carla is not installed; pip install 'bev_perception[carla]' brings it" in error
