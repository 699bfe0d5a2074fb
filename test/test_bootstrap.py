# SPDX-License-Identifier: Apache-2.0
"""The set-up says in one line what is missing where it may not install it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "bootstrap.py"


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_missing_egl_without_rights_names_the_packages(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "loads", lambda library: library == "libGL.so.1")
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "--extras", "sim"])
    assert bootstrap.main() == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert "sudo apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri" in said


def test_old_python_is_refused(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 18))
    monkeypatch.setattr(sys, "argv", ["bootstrap.py"])
    assert bootstrap.main() == 2
    assert "Python 3.9 is too old" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("resolved", "pulls_cuda"),
    [(["torch", "sympy"], False), (["torch", "nvidia-cublas", "triton"], True)],
)
def test_cuda_packages_in_the_resolution_are_noticed(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    resolved: list[str],
    pulls_cuda: bool,
) -> None:
    report = json.dumps({"install": [{"metadata": {"name": name}} for name in resolved]})
    answer = subprocess.CompletedProcess([], 0, stdout=report, stderr="")
    monkeypatch.setattr(bootstrap.subprocess, "run", lambda *_, **__: answer)
    assert bootstrap.resolves_to_cuda(Path(sys.executable), "torch==2.13.0") is pulls_cuda


def test_missing_compiler_without_rights_names_the_packages(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    with pytest.raises(bootstrap.BootstrapError, match=r"sudo apt-get install g\+\+"):
        bootstrap.ensure_compilers()


def test_a_machine_without_ros_wheels_is_told_what_it_can_do(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: "aarch64")
    with pytest.raises(bootstrap.BootstrapError, match=r"not for Linux aarch64.*--offline"):
        bootstrap.ensure_compilers()


def test_a_sourced_ros_does_not_reach_the_environment(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/ros/jazzy")
    monkeypatch.setenv("PYTHONPATH", "/opt/ros/jazzy/lib/python3.12/site-packages")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/ros/jazzy/lib")
    bootstrap.leave_sourced_ros()
    names = ("AMENT_PREFIX_PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
    assert [name for name in names if name in bootstrap.os.environ] == []


@pytest.mark.parametrize(
    ("sees_system", "system_numpy", "keeps_numpy_1"),
    [("true", "1.26.4", True), ("true", "2.3.1", False), ("false", "1.26.4", False)],
)
def test_numpy_1_of_a_ros_install_stays(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    sees_system: str,
    system_numpy: str,
    keeps_numpy_1: bool,
) -> None:
    (tmp_path / "pyvenv.cfg").write_text(f"include-system-site-packages = {sees_system}\n")
    answer = subprocess.CompletedProcess([], 0, stdout=f"{system_numpy}\n", stderr="")
    monkeypatch.setattr(bootstrap.subprocess, "run", lambda *_, **__: answer)
    assert ("numpy<2" in bootstrap.constraints(tmp_path)) is keeps_numpy_1
