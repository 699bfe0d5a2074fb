# SPDX-License-Identifier: Apache-2.0
"""What has been done to a server, undone in reverse order."""

from __future__ import annotations

from collections.abc import Callable

from bev_perception.carla_world.faults import ServerLostError, WorldChangedError
from bev_perception.errors import CarlaError


class Undo:
    """Steps that put things back; each is tried once, whatever becomes of the others."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], None]] = []

    def add(self, step: Callable[[], None]) -> None:
        """A step to be taken before all that were added earlier."""
        self._steps.append(step)

    def run(self) -> list[CarlaError]:
        """Takes all steps and returns what went wrong.

        A server that does not answer ends it: every other call would wait for as long again.
        """
        problems: list[CarlaError] = []
        while self._steps:
            try:
                self._steps.pop()()
            except ServerLostError as error:
                self._steps.clear()
                problems.append(error)
            except WorldChangedError:
                continue
            except CarlaError as error:
                problems.append(error)
        return problems
