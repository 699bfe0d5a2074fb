# SPDX-License-Identifier: Apache-2.0
"""bev record, a process of its own: its options, its end, what it says."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from rclpy.duration import Duration
from rclpy.qos import QoSProfile
from recorded_messages import left_behind, messages
from std_msgs.msg import String

RELIABLE = QoSProfile(depth=50)

Record = Callable[..., Any]


@pytest.fixture
def record(ros_process: Any, tmp_path: Path) -> Record:
    """record(*arguments): a recorder that looks for topics; its bag is at .bag."""

    def start(*arguments: object, ready: str | None = "recording to") -> Any:
        bag = tmp_path / "recorded"
        command = ("record", "--out", bag, *arguments)
        process = ros_process("bev_perception.cli.main", *command, ready=ready)
        process.bag = bag
        return process

    return start


@pytest.mark.parametrize(
    ("number", "options", "suffix"),
    [
        (signal.SIGINT, ("--max-size", "1"), ".mcap"),
        (signal.SIGTERM, ("--storage", "sqlite3"), ".db3"),
    ],
)
def test_a_signal_completes_the_bag(
    record: Record, client: Any, number: signal.Signals, options: tuple[str, ...], suffix: str
) -> None:
    text = client.publisher("/text", String, RELIABLE)
    recorder = record("/text", "/never", *options)
    client.wait_matched(text)
    for index in range(5):
        text.publish(String(data=str(index)))
    assert text.wait_for_all_acked(Duration(seconds=60))
    assert recorder.stop(number) == 0
    assert len(messages(recorder.bag)["/text"]) == 5
    assert [path.suffix for path in recorder.bag.iterdir() if path.name != "metadata.yaml"] == [
        suffix
    ]
    assert left_behind(recorder.bag) == []
    assert re.search(r"/text +5 ", recorder.log)
    assert "nobody publishes /never" in recorder.log


def test_interrupted_while_it_starts_it_leaves_nothing(record: Record) -> None:
    recorder = record(ready=None)
    assert recorder.stop() != 0
    assert not recorder.bag.exists()
    assert left_behind(recorder.bag) == []


def test_nothing_recorded_is_an_error_with_its_reason(record: Record) -> None:
    recorder = record("/text")
    assert recorder.stop() == 2
    assert "nothing was recorded: none of the topics is published" in recorder.log
    assert not recorder.bag.exists()


def test_the_end_after_a_duration(record: Record, client: Any) -> None:
    text = client.publisher("/text", String, RELIABLE)
    recorder = record("/text", "--duration", "0.3")
    client.wait_matched(text)
    text.publish(String(data="one"))
    assert recorder.wait() == 0
    assert len(messages(recorder.bag)["/text"]) == 1


def test_an_existing_bag_is_not_touched(record: Record, tmp_path: Path) -> None:
    (tmp_path / "recorded").mkdir()
    recorder = record(ready=None)
    assert recorder.wait() == 2
    assert "exists already" in recorder.log
