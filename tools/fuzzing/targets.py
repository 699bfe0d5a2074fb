# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: per kind of file a valid one, ways to spoil it, and all that reads it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzzing import bag_targets, command_targets, data_targets, model_targets, text_targets


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        name: for the command line.
        prepare: writes valid files into an empty folder.
        spoil: changes a copy of that folder.
        read: reads the folder as a command would; may write into the folder `out` only.
    """

    name: str
    prepare: Callable[[Path], None]
    spoil: Callable[[Path, random.Random], None]
    read: Callable[[Path, Path], object]

    def case(self, valid: Path, place: Path, seed: str) -> Path:
        """A spoiled copy of the valid files, the same for the same seed."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(valid, place)
        self.spoil(place, random.Random(f"{self.name}/{seed}"))
        return place


TARGETS = {
    name: Target(name, *functions)
    for module in (bag_targets, text_targets, model_targets, data_targets, command_targets)
    for name, functions in module.TARGETS.items()
}
"""By name."""
