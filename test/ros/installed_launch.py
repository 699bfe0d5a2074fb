# SPDX-License-Identifier: Apache-2.0
"""Launch files of an installed package, with stand-ins in the place of nodes or with the nodes.

Import the fixtures into a test file; prefix is used by all its tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from bev_perception.ros.environment import PROFILE_VARIABLES

ROOT = Path(__file__).resolve().parents[2]
CHOICES = (*PROFILE_VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS", "RMW_IMPLEMENTATION")
LENS = "width: 96, height: 64, horizontal_fov_deg: 100"
RIG = f"cameras:\n  bow: {{{LENS}, position: [1.9, 0, 1.6], rpy_deg: [0, 5, 0]}}\n"
# What `ros2 launch` does, for launch without ros2cli.
RUN_LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

path, *arguments = sys.argv[1:]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(path),
    launch_arguments=[tuple(argument.split(":=", 1)) for argument in arguments],
)]))
sys.exit(service.run())
"""
# In the place of a node: writes down how it was started.
STAND_IN = """#!/usr/bin/env python3
import json, os, pathlib, signal, sys, time
import yaml

SOURCES = ("simulation_node", "carla_node", "carla_adapter_node")
line, parameters, rules = sys.argv[1:], {}, {}
for option, value in zip(line, line[1:]):
    if option == "--params-file":
        for entry in yaml.full_load(pathlib.Path(value).read_text()).values():  # has tuples
            parameters.update(entry["ros__parameters"])
    elif option == "-r":
        rules.update([value.split(":=", 1)])
started = {"line": line, "parameters": parameters, "rules": rules, "environment": {**os.environ}}
folder, name = pathlib.Path(os.environ["STARTED"]), pathlib.Path(sys.argv[0]).name
(folder / f"{name}.part").write_text(json.dumps(started))
(folder / f"{name}.part").rename(folder / f"{name}.json")
if name == "perception_node" and "STAYS" in os.environ:
    signal.pause()
while name in SOURCES and not (folder / "perception_node.json").exists():
    time.sleep(0.01)  # its end ends the others
"""
EXECUTABLES = dict.fromkeys(
    ("perception_node", "simulation_node", "carla_node", "carla_adapter_node"), "bev_perception"
)


@pytest.fixture(scope="module", autouse=True)
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the package is installed; without a workspace, colcon installs it for these tests."""
    try:
        yield Path(get_package_prefix("bev_perception"))
        return
    except (PackageNotFoundError, OSError):  # OSError: AMENT_PREFIX_PATH is not set
        colcon = Path(sys.prefix) / "bin" / "colcon"
        if not colcon.exists():
            pytest.skip("bev_perception is in no ROS 2 workspace, and there is no colcon")
    workspace = tmp_path_factory.mktemp("workspace")
    command = [colcon, "--log-base", "log", "build", "--paths", str(ROOT)]
    result = subprocess.run(command, cwd=workspace, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    installed = workspace / "install" / "bev_perception"
    site_packages = next(installed.glob("lib/python3*/site-packages"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMENT_PREFIX_PATH", str(installed), prepend=os.pathsep)
        patch.setenv("PYTHONPATH", str(site_packages), prepend=os.pathsep)
        patch.setenv("PATH", str(Path(sys.prefix) / "bin"), prepend=os.pathsep)
        yield installed


@pytest.fixture
def started(prefix: Path, tmp_path: Path) -> Callable[..., Any]:
    """started("perception", "cameras:=front"): how a launch starts each node, by executable.

    Stand-ins are started in the place of the nodes. The launch's output is under "output".
    """

    def run(name: str, *arguments: str, rviz: bool = False, **variables: str) -> dict[str, Any]:
        packages = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
        packages.mkdir(parents=True)
        for executable, package in {**EXECUTABLES, **({"rviz2": "rviz2"} if rviz else {})}.items():
            (packages / package).touch()
            path = tmp_path / "lib" / package / executable
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(STAND_IN)
            path.chmod(0o755)
        environment = {key: value for key, value in os.environ.items() if key not in CHOICES}
        environment |= {"STARTED": str(tmp_path), "ROS_LOG_DIR": str(tmp_path), **variables}
        environment["AMENT_PREFIX_PATH"] = os.pathsep.join(
            [str(tmp_path), os.environ["AMENT_PREFIX_PATH"]]
        )
        result = subprocess.run(
            [sys.executable, "-c", RUN_LAUNCH, launch_file(prefix, name), *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        records = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
        return {**records, "output": result.stdout + result.stderr}

    return run


@pytest.fixture
def launch(ros_process: Any, prefix: Path, tmp_path: Path) -> Callable[..., Any]:
    """launch("perception", "rviz:=false"): as `ros2 launch` in a process of its own."""
    (tmp_path / "run_launch.py").write_text(RUN_LAUNCH)

    def run(name: str, *arguments: str) -> Any:
        paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        environment = {"PYTHONPATH": paths, "ROS_LOG_DIR": str(tmp_path / "log")}
        return ros_process(
            "run_launch", launch_file(prefix, name), *arguments, environment=environment
        )

    return run


def launch_file(prefix: Path, name: str) -> str:
    return str(prefix / "share" / "bev_perception" / "launch" / f"{name}.launch.py")
