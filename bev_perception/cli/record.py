# SPDX-License-Identifier: Apache-2.0
"""``bev record``: topics of the running system into a bag."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bev_perception.cli.parser import Arguments, Command, Parser, require
from bev_perception.cli.teller import Teller

if TYPE_CHECKING:
    from bev_perception.ros.recorder import Recorder


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "topics",
        nargs="*",
        type=str,
        metavar="TOPIC",
        help="topics to record; default cameras with CameraInfo, /tf, odometry, IMU, LiDAR, radar, "
        "labels, perception's outputs, /clock and /diagnostics. /tf_static is always recorded",
    )
    parser.add_argument(
        "--out", type=str, required=True, metavar="BAG", help="the bag; must not exist"
    )
    parser.add_argument("--all", action="store_true", help="all topics but hidden ones")
    parser.add_argument(
        "--exclude",
        type=str,
        default="",
        metavar="REGEX",
        help="leave out topics in whose name this is found",
    )
    parser.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="kind of bag"
    )
    parser.add_argument("--compressed", action="store_true", help="compress with zstd")
    parser.add_argument(
        "--max-duration", type=float, default=None, metavar="S", help="seconds per file of the bag"
    )
    parser.add_argument(
        "--max-size",
        type=float,
        default=None,
        metavar="MB",
        help="megabytes of messages per file of the bag, before compression",
    )
    parser.add_argument(
        "--duration", type=float, default=None, metavar="S", help="end after so many seconds"
    )
    parser.add_argument(
        "--buffer",
        type=float,
        default=256.0,
        metavar="MB",
        help="messages that may wait for the disk; more are dropped and counted",
    )
    parser.add_argument(
        "--use-sim-time", action="store_true", help="times of recording are those of /clock"
    )


def _run(arguments: Arguments) -> None:
    from bev_perception.ros.session import Session

    for name in ("max_duration", "max_size", "duration", "buffer"):
        value = arguments[name]
        option = f"--{name.replace('_', '-')}"
        require(value is None or value > 0, f"{option} must be positive, got {value}")
    require(
        not (arguments.all and arguments.topics), "--all records every topic; name none beside it"
    )
    with Session("bev_recorder", arguments.use_sim_time) as session:
        from bev_perception.ros.recorder import Recorder, RecorderSettings
        from bev_perception.ros.recording_writer import RecordingLimits
        from bev_perception.ros.topic_selection import TopicSelection

        settings = RecorderSettings(
            path=Path(arguments.out),
            selection=TopicSelection(tuple(arguments.topics), arguments.all, arguments.exclude),
            storage=arguments.storage,
            compressed=arguments.compressed,
            limits=RecordingLimits(
                arguments.max_duration, arguments.max_size, arguments.duration, arguments.buffer
            ),
        )
        progress = _Progress()
        recorder = Recorder(session.node, settings, progress.warn)
        recorder.start()
        progress.line(f"recording to {settings.path}; Ctrl-C completes the bag")
        try:
            while not session.stopping and not recorder.finished:
                session.spin_once(0.1)
                progress.update(recorder)
            session.drain(lambda: recorder.received)
        finally:
            progress.end()
            summary = recorder.stop()
    print(summary.text())


class _Progress:
    """One line on stderr: rewritten on a terminal, else told every ten seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._period_s = 0.5 if self._terminal else 10.0
        self._started = self._told = time.monotonic()
        self._before: dict[str, int] = {}
        self._open_line = False
        self._tell = Teller("record")

    def update(self, recorder: Recorder) -> None:
        """Tells messages, megabytes and rates, when it is time to."""
        now = time.monotonic()
        if now - self._told < self._period_s:
            return
        state, elapsed_s = recorder.state, now - self._told
        counts = {name: count.messages for name, count in list(state.topics.items())}
        text = f"{now - self._started:.0f} s  {state.messages} messages  {state.bytes / 1e6:.1f} MB"
        if state.dropped:
            text += f"  {state.dropped} dropped"
        for name in sorted(counts):
            rate = (counts[name] - self._before.get(name, 0)) / elapsed_s
            text += f"  {name.lstrip('/')} {rate:.1f} Hz"
        self._told, self._before = now, counts
        if not self._terminal:
            self.line(text)
            return
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r{text[:width]:<{width}}")
        sys.stderr.flush()
        self._open_line = True

    def warn(self, text: str) -> None:
        """A warning on a line of its own."""
        self.line(f"warning: {text}")

    def line(self, text: str) -> None:
        """A line of its own."""
        self.end()
        self._tell(text)

    def end(self) -> None:
        """Leaves the line that is rewritten."""
        if self._open_line:
            sys.stderr.write("\n")
            self._open_line = False


COMMAND = Command(
    name="record",
    summary="topics of the running system into a bag",
    description="Records ROS 2 topics as they come, without decoding them, into a bag that "
    "`bev train`, `bev inspect` and `ros2 bag` read. Topics are found while recording and "
    "subscribed as their publishers offer them. /tf_static is always recorded, and stated "
    "again at the beginning of every file. The bag appears when it is complete: after Ctrl-C, "
    "SIGTERM or --duration.",
    examples=(
        ("all that training needs, until Ctrl-C", "bev record --out out/drive"),
        ("a minute of a simulator", "bev record --use-sim-time --duration 60 --out out/town"),
        (
            "everything but debug topics, one file per GB",
            "bev record --all --exclude /debug/ --max-size 1000 --out out/all",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
