# SPDX-License-Identifier: Apache-2.0
"""Parameters of the CARLA node."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.carla_world.settings import EGO_MODES, LONGEST_STEP_S, CarlaSettings
from bev_perception.ros.declared_settings import MAX_INTEGER, parameter
from bev_perception.ros.drive_settings import DriveSettings

_DEFAULTS = CarlaSettings()


@dataclass(frozen=True)
class CarlaDriveSettings(DriveSettings):
    """A live drive through a CARLA world; names and defaults are those of CarlaSettings."""

    host: str = parameter(_DEFAULTS.host, "Where the CARLA server runs, a name or an address")
    port: int = parameter(_DEFAULTS.port, "Its port", 1, 65535)
    timeout_s: float = parameter(
        _DEFAULTS.timeout_s, "How long one call of the server, or one tick, may take", 0.1, 3600.0
    )
    town: str = parameter(
        _DEFAULTS.town, "Map to load, such as Town03; empty stays in the one that is loaded"
    )
    seed: int = parameter(
        _DEFAULTS.seed, "Of spawn points, traffic and its behaviour", 0, MAX_INTEGER
    )
    fixed_delta_s: float = parameter(
        _DEFAULTS.fixed_delta_s, "Simulated seconds per tick", 0.001, LONGEST_STEP_S
    )
    passive: bool = parameter(
        _DEFAULTS.passive,
        "Another client ticks the world and has set its time step; this one only follows",
    )
    ego_mode: str = parameter(
        _DEFAULTS.ego_mode,
        "spawn makes the ego vehicle, existing takes the one of role_name that is there",
        choices=EGO_MODES,
    )
    ego_blueprint: str = parameter(_DEFAULTS.ego_blueprint, "What the ego vehicle is made of")
    role_name: str = parameter(_DEFAULTS.role_name, "role_name attribute of the ego vehicle")
    autopilot: bool = parameter(
        _DEFAULTS.autopilot, "Whether the traffic manager drives an ego vehicle that is spawned"
    )
    spawn_point: int = parameter(
        _DEFAULTS.spawn_point,
        "Number of the map's spawn point; -1 draws one by the seed",
        -1,
        MAX_INTEGER,
    )
    vehicles: int = parameter(_DEFAULTS.vehicles, "Other vehicles to spawn", 0, 1000)
    walkers: int = parameter(_DEFAULTS.walkers, "People on foot to spawn", 0, 1000)
    weather: str = parameter(
        _DEFAULTS.weather,
        "A preset of CARLA such as WetCloudySunset; empty leaves the weather as it is",
    )
    visibility: bool = parameter(
        _DEFAULTS.visibility,
        "Whether depth cameras tell how much of each object is seen; costs as much rendering again",
    )
    sensor_timeout_s: float = parameter(
        _DEFAULTS.sensor_timeout_s,
        "How long to wait for the images of a tick that is over",
        0.1,
        3600.0,
    )
    settle_s: float = parameter(
        _DEFAULTS.settle_s,
        "Simulated seconds for vehicles to come to rest on their wheels",
        0.0,
        60.0,
    )
    tm_port: int = parameter(_DEFAULTS.tm_port, "Port of the traffic manager", 1, 65535)
