# SPDX-License-Identifier: Apache-2.0
"""The package is what colcon and pip expect it to be."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bev_perception import __version__
from bev_perception.resources import config_path

ROOT = Path(__file__).resolve().parent.parent
COLCON = Path(sys.prefix) / "bin" / "colcon"

needs_colcon = pytest.mark.skipif(not COLCON.exists(), reason="colcon is not in this environment")


def colcon(*arguments: str, cwd: Path) -> str:
    result = subprocess.run(
        [str(COLCON), "--log-base", str(cwd / "log"), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_version_is_the_same_everywhere() -> None:
    manifest = (ROOT / "package.xml").read_text()
    assert f"<version>{__version__}</version>" in manifest
    assert importlib.metadata.version("bev_perception") == __version__


@needs_colcon
def test_colcon_sees_an_ament_python_package(tmp_path: Path) -> None:
    listed = colcon("list", "--paths", str(ROOT), cwd=tmp_path)
    assert listed.split() == ["bev_perception", str(ROOT), "(ros.ament_python)"]


@needs_colcon
@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["copies", "links"])
def test_colcon_build_installs_code_files_and_commands(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    bases = ("--install-base", str(tmp_path / "install"), "--build-base", str(tmp_path / "build"))
    colcon("build", "--paths", str(ROOT), *bases, *options, cwd=tmp_path)
    prefix = tmp_path / "install" / "bev_perception"
    share = prefix / "share" / "bev_perception"
    shipped = {
        path.relative_to(ROOT)
        for top in ("config", "launch")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert Path("launch/perception.launch.py") in shipped
    assert {path for path in shipped if not (share / path).is_file()} == set()
    marker = "share/ament_index/resource_index/packages/bev_perception"
    assert (prefix / marker).is_file()
    commands = {path.name for path in (prefix / "lib" / "bev_perception").iterdir()}
    assert commands >= {"bev", "perception_node", "simulation_node"}


@needs_colcon
def test_commands_of_a_workspace_run_with_the_activated_environment(tmp_path: Path) -> None:
    bases = ("--install-base", str(tmp_path / "install"), "--build-base", str(tmp_path / "build"))
    colcon("build", "--paths", str(ROOT), *bases, cwd=tmp_path)
    prefix = tmp_path / "install" / "bev_perception"
    command = prefix / "lib" / "bev_perception" / "bev"
    assert command.read_text().splitlines()[0] == "#!/usr/bin/env python3"
    (site_packages,) = prefix.glob("lib/python3*/site-packages")
    shown = subprocess.run(
        [str(command), "--version"],
        env={
            **os.environ,
            "PATH": f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(site_packages),
            "AMENT_PREFIX_PATH": str(prefix),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert __version__ in shown.stdout, shown.stderr
    files = {path.relative_to(ROOT) for path in tracked_files("bev_perception")}
    assert {path for path in files if not (site_packages / path).is_file()} == set()


def tracked_files(folder: str) -> list[Path]:
    """The package's files other than code, which setup.py has to name."""
    suffixes = {".safetensors", ".html", ".typed"}
    return [path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]


def declared(*tags: str) -> set[str]:
    """Dependencies in package.xml."""
    root = ET.parse(ROOT / "package.xml").getroot()
    return {str(element.text) for tag in tags for element in root.iter(tag)}


def imported(*folders: str) -> set[str]:
    """Top-level modules that the code imports, bev_perception and Python's own left out."""
    names: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - {"bev_perception"} - set(sys.stdlib_module_names)


def from_pypi(*, extras: bool) -> set[str]:
    """Modules of the requirements in setup.py, ROS 2 left out."""
    names = {re.split(r"[^\w-]", line)[0].lower(): line for line in requirements()}
    modules = {"opencv-python-headless": "cv2", "pyyaml": "yaml", "rerun-sdk": "rerun"}
    return {
        modules.get(name, name)
        for name, line in names.items()
        if not name.startswith("ros-jazzy-") and (extras or "extra ==" not in line)
    }


def requirements() -> list[str]:
    """What setup.py asks pip for, extras too."""
    return importlib.metadata.requires("bev_perception") or []


# Programs and plugins: nothing imports them.
STARTED = {
    "ros2bag",
    "ros2launch",
    "ros2lifecycle",
    "ros2param",
    "ros2pkg",
    "ros2run",
    "ros2topic",
    "rosbag2_storage_mcap",
    "rviz2",
    "rviz_default_plugins",
}
# Parts of ROS 2 without a wheel: built by tools/make_interfaces.py, or done without.
WITHOUT_WHEEL = {"tf2_msgs", "vision_msgs"}
DISPENSABLE = {
    "ament_index_python",
    "cv_bridge",
    "launch",
    "launch_ros",
    "sensor_msgs_py",
    "sros2",
    "tf_transformations",
}

BROUGHT_BY_TORCH = {"triton"}
"""By its builds for CUDA; nothing asks for it where it is not."""


def test_package_xml_names_exactly_the_ros_packages_that_are_used() -> None:
    used = imported("bev_perception", "launch") - from_pypi(extras=True) - BROUGHT_BY_TORCH
    named = {name for name in declared("exec_depend", "depend") if not name.startswith("python3-")}
    assert named == used | STARTED


def test_package_xml_and_setup_py_ask_for_the_same_python_packages() -> None:
    modules = {"opencv": "cv2"}
    keys = {name[8:] for name in declared("exec_depend") if name.startswith("python3-")}
    without_rosdep_key = {"av", "jsonargparse", "rosbags", "safetensors", "setuptools", "torch"}
    named = {modules.get(key, key) for key in keys}
    assert named == from_pypi(extras=False) - without_rosdep_key


def test_the_extra_ros_has_a_wheel_of_all_that_the_nodes_need() -> None:
    used = imported("bev_perception/ros") - from_pypi(extras=True)
    wheels = {
        re.split(r"[^\w-]", line)[0].removeprefix("ros-jazzy-").replace("-", "_")
        for line in requirements()
        if line.startswith("ros-jazzy-")
    }
    assert used - WITHOUT_WHEEL - DISPENSABLE <= wheels


def test_launch_files_import_nothing_that_only_the_virtual_environment_has() -> None:
    # `ros2 launch` runs with the system's Python, which has what rosdep installs and no torch.
    used = [
        f"import {name}"
        for path in (ROOT / "launch").glob("*.py")
        for name in re.findall(r"^from (bev_perception[\w.]*) import", path.read_text(), re.M)
    ]
    absent = ["torch", "safetensors", "rosbags", "av", "jsonargparse", "moderngl", "lightning"]
    # ROS 2's, which the virtual environment has not.
    theirs = ["launch.actions", "launch.launch_context", "launch.launch_description"]
    theirs += ["launch", "launch.launch_description_entity", "launch.logging"]
    code = f"""
import sys
from unittest.mock import MagicMock

sys.modules.update(dict.fromkeys({absent}))
sys.modules.update({{name: MagicMock() for name in {theirs}}})
"""
    code += "\n".join(used)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert used
    assert result.returncode == 0, result.stderr


def test_configuration_is_found_beside_the_package() -> None:
    assert config_path("rigs/default.yaml").is_file()


def test_a_second_bootstrap_changes_nothing(tmp_path: Path) -> None:
    stamp = Path(sys.prefix) / "bootstrap.json"
    if not stamp.is_file():
        pytest.skip("this environment was not made by tools/bootstrap.py")
    before = stamp.stat().st_mtime_ns
    command = [sys.executable, str(ROOT / "tools" / "bootstrap.py"), "--venv", sys.prefix]
    result = subprocess.run([*command, "--extras", "sim"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert stamp.stat().st_mtime_ns == before
