# SPDX-License-Identifier: Apache-2.0
"""The live demo: three processes on ROS 2 topics, the offline figures, a clean end always."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from ros_transport import quick_profiles

from bev_perception.bags import BagReader
from bev_perception.bags.output_reader import DiagnosticReport, OutputReader
from bev_perception.cli import live_results, ros_domain
from bev_perception.cli.processes import Processes
from bev_perception.errors import ProcessError

TIMEOUT_S = 120.0
NUM_SETS = 4
TOWN = 11_004


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = TIMEOUT_S) -> object:
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(0.02)
    return value


class Demo:
    """``bev demo`` in a process of its own."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
        pytest.importorskip("moderngl", reason="the town needs moderngl")
        self.out = folder / "demo"
        self.errors = folder.parent / f"{folder.name}.err"
        environment = {**os.environ, "TMPDIR": str(folder.parent)}
        for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"):
            environment.pop(name, None)
        for name, profile in quick_profiles(folder.parent).items():
            environment[name] = str(profile)
        command = [sys.executable, "-m", "bev_perception.cli.main", "demo", "--out", self.out]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [str(part) for part in (*command, *arguments)],
                stdout=errors,
                stderr=errors,
                env=environment,
            )

    def wait(self) -> int:
        return self.process.wait(TIMEOUT_S)

    @property
    def text(self) -> str:
        return self.errors.read_text(errors="replace")

    def children(self) -> dict[str, int]:
        """Process ids of its nodes by the last part of their module."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        found = {}
        for number in listed.split():
            command = Path(f"/proc/{number}/cmdline").read_bytes().decode().split("\0")
            if "-m" in command:
                found[command[command.index("-m") + 1].rpartition(".")[2]] = int(number)
        return found

    def wait_until_driving(self) -> dict[str, int]:
        """Its nodes, once outputs come."""
        wait_for(lambda: re.search(r"drive: +[1-9]\d*%", self.text), f"a drive in {self.text}")
        return self.children()


@pytest.fixture
def demo(rig_file: Path, weights: Path, tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """demo(sets): starts it with the tiny rig and weights."""
    started: list[Demo] = []
    folder = tmp_path / "results"
    folder.mkdir()

    def start(sets: int) -> Demo:
        common = ("--town", TOWN, "--rig", rig_file, "--weights", weights, "--pictures", 2)
        started.append(Demo(folder, *common, "--sets", sets))
        return started[-1]

    yield start
    for entry in started:
        if entry.process.poll() is None:
            entry.process.send_signal(signal.SIGINT)
            entry.process.wait(TIMEOUT_S)
        print(entry.text)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_live_figures_are_those_of_the_offline_demo(
    demo: Callable, bev: Callable, rig_file: Path, weights: Path, tmp_path: Path
) -> None:
    live = demo(NUM_SETS)
    assert live.wait() == 0
    for text in ("network", "4 of 4 sets have an output", "report.html", "counts as free"):
        assert text in live.text
    names = {path.name for path in live.out.iterdir()}
    assert names >= {"drive", "logs", "metrics.json", "run.json", "report.html", "picture_01.jpg"}
    logs = {path.name: path.read_text() for path in (live.out / "logs").iterdir()}
    assert set(logs) == {"town.log", "perception.log", "recorder.log"}
    assert "drove 4 sets" in logs["town.log"]
    report = (live.out / "report.html").read_text()
    assert "live on ROS 2 topics" in report
    assert set(json.loads((live.out / "run.json").read_text())["timings_ms"]) >= {"node", "engine"}

    offline = tmp_path / "offline"
    common = ("--town", TOWN, "--rig", rig_file, "--weights", weights, "--sets", NUM_SETS)
    assert bev("demo", "--offline", *common, "--out", offline).code == 0
    with (
        OutputReader(live.out / "drive") as ours,
        OutputReader(offline / "output") as theirs,
        BagReader(live.out / "drive") as recorded,
        BagReader(offline / "drive") as simulated,
    ):
        assert ours.stamps_ns == theirs.stamps_ns
        for stamp_ns in ours.stamps_ns:
            mine, other = ours.output(stamp_ns), theirs.output(stamp_ns)
            assert mine is not None
            assert other is not None
            np.testing.assert_array_equal(mine.probability, other.probability)
            np.testing.assert_array_equal(mine.unknown, other.unknown)
            assert [tuple(box.center) for box in mine.objects] == [
                tuple(box.center) for box in other.objects
            ]
            assert recorded.objects(stamp_ns) == simulated.objects(stamp_ns)
        frames = zip(recorded.camera_frames(), simulated.camera_frames(), strict=True)
        assert all(np.array_equal(one.image, two.image) for one, two in frames)


@pytest.mark.slow
def test_kill_9_of_the_command_leaves_no_process_behind(demo: Callable) -> None:
    live = demo(2000)
    nodes = live.wait_until_driving()
    os.kill(live.process.pid, signal.SIGKILL)
    live.wait()
    wait_for(lambda: not any(is_running(pid) for pid in nodes.values()), "the nodes' end")


def test_a_process_that_ends_early_is_told_with_its_last_lines_and_ends_the_others(
    demo: Callable,
) -> None:
    live = demo(2000)
    nodes = live.wait_until_driving()
    assert set(nodes) == {"simulation_node", "perception_node", "main"}
    os.kill(nodes["perception_node"], signal.SIGTERM)
    assert live.wait() == 2
    assert re.search(r"^  perception \| .*first grid is out", live.text, re.MULTILINE)
    (error,) = re.findall(r"^bev demo: error: .*$", live.text, re.MULTILINE)
    assert "the perception process ended with exit code" in error
    kept = Path(error.rpartition(" ")[2])
    assert {path.name for path in kept.iterdir()} == {"town.log", "perception.log", "recorder.log"}
    assert not any(is_running(pid) for pid in nodes.values())
    assert list(live.out.parent.iterdir()) == []


def test_ctrl_c_ends_all_processes_and_leaves_nothing(demo: Callable) -> None:
    live = demo(2000)
    nodes = live.wait_until_driving()
    live.process.send_signal(signal.SIGINT)
    assert live.wait() == 130
    assert "bev demo: interrupted" in live.text
    assert "Traceback" not in live.text
    assert not any(is_running(pid) for pid in nodes.values())
    assert list(live.out.parent.iterdir()) == []


def test_diagnostics_are_counted_and_their_troubles_become_findings() -> None:
    def said(name: str, level: int, message: str) -> DiagnosticReport:
        return DiagnosticReport(1, f"bev: {name}", level, message, {})

    reports = [
        said("camera front", 0, "camera front: 3 images per second"),
        said("camera front", 1, "camera front: late by 80 ms"),
        said("camera front", 0, "camera front: 9 images per second"),
        said("engine", 3, "engine: nothing yet"),
        said("engine", 0, "engine: 3 sets per second"),
    ]
    table = live_results.diagnostics_table(reports)
    assert table.rows == [
        ["camera front", "ok 2, warning 1", "late by 80 ms"],
        ["engine", "ok 1, stale 1", "3 sets per second"],
    ]
    findings = live_results.diagnostic_findings(reports)
    assert findings == ["camera front: late by 80 ms (1 of 3 reports)"]


def test_without_ros_the_demo_says_how_to_have_it_or_do_without(
    bev: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    result = bev("demo", "--live", "--out", tmp_path / "demo")
    assert result.code == 2
    assert "make ros" in result.error
    assert "bev demo --offline" in result.error
    assert list(tmp_path.iterdir()) == []


def test_offline_and_live_exclude_each_other(bev: Callable, tmp_path: Path) -> None:
    result = bev("demo", "--live", "--offline", "--out", tmp_path / "demo")
    assert "--offline and --live exclude each other" in result.error


def test_processes_are_logged_and_ended(tmp_path: Path) -> None:
    with Processes(tmp_path / "logs") as processes:
        processes.start("server", "http.server", "--bind", "127.0.0.1", 0)
        server = processes["server"]
        wait_for(server.last_lines, "its first line")
        processes.check()
    assert server.exit_code == 0
    assert "Serving HTTP" in (tmp_path / "logs" / "server.log").read_text()


def test_a_process_that_fails_is_named_and_its_last_lines_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Processes(tmp_path / "logs") as processes:
        processes.start("reader", "json.tool", tmp_path / "nothing.json")
        wait_for(lambda: processes["reader"].exit_code is not None, "its end")
        with pytest.raises(ProcessError, match="the reader process ended with exit code"):
            processes.check(may_end=["reader"])
    assert "  reader | " in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("bev_demo_*/*")] == ["reader.log"]


def test_the_users_domain_and_reach_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "55")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    with ros_domain.own_domain() as domain:
        assert domain == 55
        assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"


def test_a_free_domain_on_this_machine_is_chosen_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"):
        monkeypatch.delenv(name, raising=False)
    first, second = random.sample(list(filter(ros_domain._is_free, ros_domain.DOMAINS)), 2)
    monkeypatch.setattr(ros_domain, "DOMAINS", (first, second))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 7400 + 250 * first + 10))
        with ros_domain.own_domain() as domain:
            assert domain == second
            assert os.environ["ROS_DOMAIN_ID"] == str(second)
            assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_DOMAIN_ID" not in os.environ
