# SPDX-License-Identifier: Apache-2.0
"""What is in a recorded bag."""

from __future__ import annotations

from pathlib import Path

from rosbags.highlevel import AnyReader


def messages(bag: Path) -> dict[str, list[bytes]]:
    """Raw messages by topic, in order."""
    found: dict[str, list[bytes]] = {}
    with AnyReader([bag]) as reader:
        for connection, _, data in reader.messages():
            found.setdefault(connection.topic, []).append(bytes(data))
    return found


def left_behind(bag: Path) -> list[str]:
    """Files beside the bag that a recorder should have removed."""
    return [entry.name for entry in bag.parent.iterdir() if bag.name in entry.name and entry != bag]
