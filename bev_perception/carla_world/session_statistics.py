# SPDX-License-Identifier: Apache-2.0
"""What is to be told of a drive."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class SessionStatistics:
    """What a drive did.

    Attributes:
        sets: that were made.
        skipped: sets that a camera left out, which only a server that runs freely does.
        vehicles, walkers: that there was room for.
        parked: vehicles that belong to the town.
        remarks: what is not quite as asked, in words.
    """

    sets: int = 0
    skipped: int = 0
    vehicles: int = 0
    walkers: int = 0
    parked: int = 0
    remarks: list[str] = field(default_factory=list)
