# SPDX-License-Identifier: Apache-2.0
"""A program with a standby whose work is to write down what happens to it.

    python -m supervised_program FOLDER WAY            # the supervisor, quick to restart
    python -m supervised_program FOLDER WAY --member   # what it starts

WAY: "stays", "ends with 2", or "crashes" before it is up.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from bev_perception.supervision.restart_pace import RestartPace
from bev_perception.supervision.supervised_life import SupervisedLife
from bev_perception.supervision.supervisor import Supervisor


def main(folder: Path, way: str, is_member: bool) -> int:
    """The exit code."""
    if is_member:
        return _live(folder, way)
    paces = [RestartPace(healthy_s=0.0, first_pause_s=0.05) for _ in range(2)]
    member = ["supervised_program", str(folder), way, "--member"]
    return Supervisor(member, *paces, settling_s=0.0).run()


def _live(folder: Path, way: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    note(folder, "born")
    life = SupervisedLife.from_environment()
    assert life is not None

    def prepare(order: Mapping[str, Any] | None) -> str:
        note(folder, f"on standby with {order}")
        return ""

    try:
        if not life.wait(prepare):
            note(folder, "dismissed")
            return 0
        assert life.takeover is not None
        if way == "ends with 2":
            return 2
        if way == "crashes":
            return 7
        before = life.takeover
        life.tell({"at": "work"}, {"weights": "tiny"})
        note(folder, f"active after {before.restarts}: {before.memory}, {before.cause!r}")
        while True:
            signal.pause()
    except KeyboardInterrupt:
        note(folder, "ended")
        return 0


def note(folder: Path, text: str) -> None:
    """A line of the diary that all processes share."""
    with (folder / "diary").open("a") as diary:
        diary.write(f"{os.getpid()} {text}\n")


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], "--member" in sys.argv))
