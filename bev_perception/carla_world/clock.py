# SPDX-License-Identifier: Apache-2.0
"""Time on a CARLA server: ticked here, or by another client."""

from __future__ import annotations

from typing import Protocol

import carla

from bev_perception.carla_world.faults import server_calls
from bev_perception.carla_world.settings import LONGEST_STEP_S, CarlaSettings
from bev_perception.errors import CarlaError


class Clock(Protocol):
    """Lets simulated time pass."""

    def tick(self) -> carla.WorldSnapshot:
        """The world after the next tick."""
        ...


def stamp_ns(snapshot: carla.WorldSnapshot) -> int:
    """Simulated time since the town was loaded, integer nanoseconds."""
    return round(snapshot.timestamp.elapsed_seconds * 1e9)


class OwnClock:
    """Synchronous mode: the server stands still until this client ticks it."""

    def __init__(self, world: carla.World, settings: CarlaSettings) -> None:
        self._world, self._timeout_s = world, settings.timeout_s
        self._frame: int | None = None

    def tick(self) -> carla.WorldSnapshot:
        """The world after one tick.

        Raises:
            ServerLostError: the tick took longer than timeout_s.
            CarlaError: another client ticks as well.
        """
        with server_calls("ticking the world"):
            frame = self._world.tick(self._timeout_s)
            snapshot = self._world.get_snapshot()
        is_next = self._frame is None or frame == self._frame + 1
        if not is_next or snapshot.frame != frame:
            raise CarlaError(
                f"CARLA's tick number went from {self._frame} to {frame} and {snapshot.frame}: "
                f"another client ticks too; stop it, or use passive mode"
            )
        self._frame = frame
        return snapshot


class OthersClock:
    """Passive: waits for the ticks of another client, or of a server that runs freely."""

    def __init__(self, world: carla.World, settings: CarlaSettings) -> None:
        self._world, self._timeout_s = world, settings.timeout_s

    def tick(self) -> carla.WorldSnapshot:
        """The world after the next tick of whoever ticks.

        Raises:
            ServerLostError: nobody ticked within timeout_s.
        """
        with server_calls("waiting for a tick of the client that ticks"):
            return self._world.wait_for_tick(self._timeout_s)


def synchronous_settings(world: carla.World, settings: CarlaSettings) -> carla.WorldSettings:
    """The world's settings, changed to ticks of fixed length that the server waits for."""
    with server_calls("asking for the world's settings"):
        wanted = world.get_settings()
    wanted.synchronous_mode = True
    wanted.fixed_delta_seconds = settings.fixed_delta_s
    wanted.no_rendering_mode = False
    wanted.substepping = True
    wanted.max_substep_delta_time = LONGEST_STEP_S / 10
    wanted.max_substeps = 10
    wanted.deterministic_ragdolls = True
    return wanted
