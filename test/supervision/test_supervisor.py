# SPDX-License-Identifier: Apache-2.0
"""A supervisor, its active process and its standby, all real and small."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bev_perception.supervision.restart_pace import RestartPace

TIMEOUT_S = 60.0


class Supervised:
    """A running supervisor and the diary of its processes."""

    def __init__(self, folder: Path, way: str) -> None:
        self.folder = folder
        (folder / "diary").touch()
        paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervised_program", str(folder), way],
            env={**os.environ, "PYTHONPATH": paths},
            stderr=(folder / "log").open("wb"),
        )

    @property
    def diary(self) -> str:
        return (self.folder / "diary").read_text()

    @property
    def members(self) -> set[int]:
        """Processes that were ever started."""
        return {int(line.split()[0]) for line in self.diary.splitlines()}

    def find(self, pattern: str) -> re.Match[str]:
        """The first match in the diary, when it is there."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            match = re.search(pattern, self.diary, re.MULTILINE)
            found.extend([match] if match else [])
            return match is not None

        wait_for(look, lambda: f"{pattern!r} in\n{self.diary}")
        return found[0]

    def find_pid(self, what: str) -> int:
        """Of the process that wrote so."""
        return int(self.find(rf"^(\d+) {what}").group(1))

    def ends(self) -> int:
        """Its exit code."""
        return self.process.wait(TIMEOUT_S)

    def leaves_nobody(self) -> bool:
        """Whether all that were started come to an end."""
        wait_for(lambda: not any(is_alive(pid) for pid in self.members), lambda: self.diary)
        return True


def wait_for(condition: Callable[[], Any], what: Callable[[], str]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what()}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has asked for its exit code does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def start(way: str = "stays") -> Supervised:
        started.append(Supervised(tmp_path, way))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        each.leaves_nobody()


def test_the_standby_takes_over_from_one_that_was_killed_and_another_one_follows(
    supervise: Callable[..., Supervised],
) -> None:
    found = supervise()
    first = found.find_pid("active after 0: {}, ''")
    standby = found.find_pid("on standby with {'weights': 'tiny'}")
    os.kill(first, signal.SIGKILL)
    assert found.find_pid("active after 1: {'at': 'work'}, 'was killed by SIGKILL") == standby
    wait_for(lambda: found.diary.count("on standby with") == 2, lambda: found.diary)
    os.kill(standby, signal.SIGSEGV)
    third = found.find_pid("active after 2: {'at': 'work'}, 'was ended by SIGSEGV'")
    assert third not in (first, standby)


def test_a_standby_that_dies_is_replaced_and_the_active_process_goes_on(
    supervise: Callable[..., Supervised],
) -> None:
    found = supervise()
    active, standby = found.find_pid("active after 0"), found.find_pid("on standby")
    os.kill(standby, signal.SIGKILL)
    wait_for(lambda: found.diary.count("on standby with") == 2, lambda: found.diary)
    assert is_alive(active)
    assert found.diary.count("active") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda it: it.name)
def test_a_signal_ends_both_processes_properly(
    supervise: Callable[..., Supervised], number: signal.Signals
) -> None:
    found = supervise()
    active, standby = found.find_pid("active after 0"), found.find_pid("on standby")
    found.process.send_signal(number)
    assert found.ends() == 0
    assert found.find_pid("ended") == active
    assert found.leaves_nobody()
    assert found.members == {active, standby}


def test_kill_9_of_the_supervisor_leaves_no_process(supervise: Callable[..., Supervised]) -> None:
    found = supervise()
    found.find("on standby")
    os.kill(found.process.pid, signal.SIGKILL)
    assert found.leaves_nobody()
    assert len(found.members) == 2


def test_a_node_that_somebody_ends_is_not_started_again(
    supervise: Callable[..., Supervised],
) -> None:
    found = supervise()
    active = found.find_pid("active after 0")
    found.find("on standby")
    os.kill(active, signal.SIGTERM)
    assert found.ends() == 0
    assert found.leaves_nobody()


def test_what_the_user_must_mend_is_not_tried_again(supervise: Callable[..., Supervised]) -> None:
    found = supervise("ends with 2")
    assert found.ends() == 2
    assert len(found.members) == 1


def test_one_that_always_crashes_while_it_starts_is_given_up(
    supervise: Callable[..., Supervised],
) -> None:
    found = supervise("crashes")
    assert found.ends() == 1
    assert len(found.members) == 3


def test_pauses_grow_while_short_lives_follow_each_other() -> None:
    pace = RestartPace(healthy_s=5.0, first_pause_s=1.0, longest_pause_s=30.0)
    short = [pace.pause_s(0.1) for _ in range(8)]
    assert short == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert pace.pause_s(None) == 30.0, "it has been up once: never given up"
    assert [pace.pause_s(5.0), pace.pause_s(0.1)] == [0.0, 0.0]
    pace = RestartPace(attempts=3)
    assert [pace.pause_s(None) for _ in range(3)] == [0.0, 1.0, None], "never up: given up"
