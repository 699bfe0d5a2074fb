# SPDX-License-Identifier: Apache-2.0
"""What a player is asked for, and what it tells while it plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class PlayerSettings:
    """What is played, and how.

    Attributes:
        bag: path.
        rate: recorded seconds per second.
        loop: from the beginning again at the end, until stopped.
        start_s, duration_s: the part of the bag; None for all.
        clock_hz: rate of /clock, which then replaces one in the bag; 0 for none.
        topics: to play, with static transforms; empty for all.
        exclude: regular expression found in the names of topics that are not played.
        remap: other names for recorded ones.
        wait_s: longest time to wait for subscribers; 0 for not waiting.
        wait_for: played topics that must have a subscriber within that time; empty to
            wait until those that are there have connected.
        buffer_mb: megabytes read ahead.
    """

    bag: Path
    rate: float = 1.0
    loop: bool = False
    start_s: float = 0.0
    duration_s: float | None = None
    clock_hz: float = 0.0
    topics: tuple[str, ...] = ()
    exclude: str = ""
    remap: Mapping[str, str] = field(default_factory=dict)
    wait_s: float = 5.0
    wait_for: tuple[str, ...] = ()
    buffer_mb: float = 64.0


@dataclass
class PlayerState:
    """What has been played. Read it at any time, from any thread.

    Attributes:
        messages, bytes: published so far, /clock apart.
        loops: how often the end was reached.
        behind_s: how late the last message was.
        worst_s: how late the latest of all was.
    """

    messages: int = 0
    bytes: int = 0
    loops: int = 0
    behind_s: float = 0.0
    worst_s: float = 0.0
