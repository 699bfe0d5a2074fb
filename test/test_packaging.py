# SPDX-License-Identifier: Apache-2.0
"""The package is what colcon and pip expect it to be."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
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
def test_colcon_build_installs_code_configuration_and_command(tmp_path: Path) -> None:
    colcon("build", "--paths", str(ROOT), "--install-base", str(tmp_path / "install"), cwd=tmp_path)
    prefix = tmp_path / "install" / "bev_perception"
    share = prefix / "share" / "bev_perception"
    installed = {path.relative_to(share / "config") for path in (share / "config").rglob("*.yaml")}
    shipped = {path.relative_to(ROOT / "config") for path in (ROOT / "config").rglob("*.yaml")}
    assert installed == shipped
    marker = "share/ament_index/resource_index/packages/bev_perception"
    assert (prefix / marker).is_file()
    assert (prefix / "lib" / "bev_perception" / "bev").is_file()
    site_packages = next(prefix.glob("lib/python3*/site-packages"))
    shown = subprocess.run(
        [sys.executable, "-c", "from bev_perception.cli.main import main; main(['--version'])"],
        env={**os.environ, "PYTHONPATH": str(site_packages), "AMENT_PREFIX_PATH": str(prefix)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert __version__ in shown.stdout, shown.stderr


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
