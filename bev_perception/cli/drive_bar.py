# SPDX-License-Identifier: Apache-2.0
"""How far an unattended recording is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bev_perception.cli.carla_schedule import ScheduledDrive


class DriveBar:
    """A bar on stderr with rate and remaining time; what is said stands above it."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=total, desc="record", unit="set", dynamic_ncols=True)

    def __enter__(self) -> DriveBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def begin(self, drive: ScheduledDrive) -> None:
        """Names the drive beside the bar."""
        self._bar.set_postfix_str(drive.words)

    def sets(self, number: int) -> None:
        """Moves the bar."""
        self._bar.update(number)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._bar.write(text, file=sys.stderr)
