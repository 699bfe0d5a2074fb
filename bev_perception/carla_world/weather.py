# SPDX-License-Identifier: Apache-2.0
"""Weather by the names of CARLA's presets."""

from __future__ import annotations

import carla

from bev_perception.errors import CarlaError


def weather_names() -> tuple[str, ...]:
    """Names of the presets that the installed carla package has, in alphabetical order."""
    kind = carla.WeatherParameters
    return tuple(sorted(name for name in dir(kind) if isinstance(getattr(kind, name, None), kind)))


def weather_of(name: str) -> carla.WeatherParameters:
    """The preset of a name; upper and lower case do not matter.

    Raises:
        CarlaError: there is no such preset; the message lists them.
    """
    presets = {preset.lower(): preset for preset in weather_names()}
    if name.lower() not in presets:
        raise CarlaError(f"unknown weather {name!r}; CARLA has {', '.join(weather_names())}")
    return getattr(carla.WeatherParameters, presets[name.lower()])
