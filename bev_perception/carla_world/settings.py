# SPDX-License-Identifier: Apache-2.0
"""What is asked of a CARLA server."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.errors import ConfigurationError

EGO_MODES = ("spawn", "existing")
LONGEST_STEP_S = 0.1
"""Longest physics step that CARLA computes faithfully: ten substeps of 10 ms."""


@dataclass(frozen=True)
class CarlaSettings:
    """One drive on a CARLA server.

    Attributes:
        host, port: where the server listens.
        timeout_s: how long one call of the server, or one tick, may take.
        town: map to drive in; empty for the one that is loaded.
        seed: of the spawn points, of traffic and walkers.
        fixed_delta_s: simulated time of one tick.
        rate_hz: sets of images per second of simulated time.
        passive: another client ticks the server; its settings are left alone.
        ego_mode: ``spawn`` a vehicle, or take the ``existing`` one that has role_name.
        ego_blueprint: vehicle to spawn.
        role_name: attribute that marks the ego vehicle.
        autopilot: let the traffic manager drive an ego vehicle that is spawned here.
        spawn_point: index into the map's spawn points; -1 draws one.
        vehicles, walkers: how many others to spawn.
        weather: name of a preset; empty for the one that is set.
        visibility: also mount depth cameras, which tell how much of each object is seen and
            cost as much rendering again.
        sensor_timeout_s: how long to wait for the images of a tick that is over.
        settle_s: simulated time for vehicles to come to rest on their wheels.
        tm_port: of the traffic manager.

    Raises:
        ConfigurationError: a value cannot be used.
    """

    host: str = "localhost"
    port: int = 2000
    timeout_s: float = 20.0
    town: str = ""
    seed: int = 0
    fixed_delta_s: float = 0.05
    rate_hz: float = 10.0
    passive: bool = False
    ego_mode: str = "spawn"
    ego_blueprint: str = "vehicle.tesla.model3"
    role_name: str = "hero"
    autopilot: bool = True
    spawn_point: int = -1
    vehicles: int = 0
    walkers: int = 0
    weather: str = ""
    visibility: bool = True
    sensor_timeout_s: float = 10.0
    settle_s: float = 1.0
    tm_port: int = 8000

    def __post_init__(self) -> None:
        for name in ("timeout_s", "fixed_delta_s", "rate_hz", "sensor_timeout_s"):
            if not getattr(self, name) > 0.0:
                raise ConfigurationError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("seed", "vehicles", "walkers", "settle_s"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("port", "tm_port"):
            if not 0 < getattr(self, name) < 65536:
                raise ConfigurationError(f"{name} must lie in 1..65535, got {getattr(self, name)}")
        if self.ego_mode not in EGO_MODES:
            raise ConfigurationError(
                f"ego_mode must be one of {', '.join(EGO_MODES)}, got {self.ego_mode!r}"
            )
        if not self.passive:
            self._check_rates()

    @property
    def ticks_per_set(self) -> int:
        """Ticks from one set of images to the next."""
        return max(1, round(1.0 / (self.rate_hz * self.fixed_delta_s)))

    def _check_rates(self) -> None:
        if self.fixed_delta_s > LONGEST_STEP_S:
            raise ConfigurationError(
                f"fixed_delta_s must be {LONGEST_STEP_S:g} or less, or CARLA's physics become "
                f"wrong; got {self.fixed_delta_s:g}"
            )
        exact = 1.0 / (self.rate_hz * self.fixed_delta_s)
        if abs(exact - self.ticks_per_set) > 1e-6 * exact:
            nearest = 1.0 / (self.ticks_per_set * self.fixed_delta_s)
            raise ConfigurationError(
                f"rate_hz {self.rate_hz:g} is no whole number of ticks of {self.fixed_delta_s:g} "
                f"s; the nearest is {nearest:g} Hz"
            )
