# SPDX-License-Identifier: Apache-2.0
"""What the other tests rely on: nothing is lost after wait_matched, and clients end quietly."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from ros_client import Client
from std_msgs.msg import String

OFTEN_S = 1e-6
"""Python's threads take turns so often, to meet in whatever they may meet in."""


def test_what_is_published_once_to_new_nodes_is_heard_and_so_is_their_answer(
    ros_process: Callable[..., Any], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    echoes = client.collect("/echoes", String)
    words = client.publisher("/words", String)
    for name in ("first", "second"):
        ros_process("echoing_node", remappings={"__node": name})
    client.wait_matched(words, count=2)
    words.publish(String(data="once"))
    assert [message.data for message in echoes.wait(2)] == ["once"] * 2


def test_a_client_ends_quietly_whatever_arrives(
    ros_environment: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    usual_s = sys.getswitchinterval()
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(0.0005):
            client.publish("/words", String(data="again"))

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        sys.setswitchinterval(OFTEN_S)
        for _ in range(25):
            listener = Client(ros_environment, "listener")
            heard = listener.collect("/words", String)
            heard.wait(2)
            for number in range(8):
                listener.publisher(f"/others_{number}", String)
            for topic in listener.topics:
                listener.remove_publisher(topic)
            listener.close()
    finally:
        sys.setswitchinterval(usual_s)
        stop.set()
        thread.join()
    assert raised == []
