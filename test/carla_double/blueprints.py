# SPDX-License-Identifier: Apache-2.0
"""Doubles of CARLA's blueprints."""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Iterator

_CAMERA = {
    "role_name": "front",
    "image_size_x": "800",
    "image_size_y": "600",
    "fov": "90.0",
    "sensor_tick": "0.0",
    "lens_circle_falloff": "5.0",
    "lens_circle_multiplier": "0.0",
    "lens_k": "-1.0",
    "lens_kcube": "0.0",
    "lens_x_size": "0.08",
    "lens_y_size": "0.08",
}
_RGB = {
    **_CAMERA,
    "gamma": "2.2",
    "motion_blur_intensity": "0.45",
    "lens_flare_intensity": "0.1",
    "chromatic_aberration_intensity": "0.0",
}
_CAR = {
    "role_name": "autopilot",
    "color": "255,255,255",
    "number_of_wheels": "4",
    "base_type": "car",
    "special_type": "",
}
ATTRIBUTES: dict[str, dict[str, str]] = {
    "sensor.camera.rgb": _RGB,
    "sensor.camera.depth": _CAMERA,
    "vehicle.tesla.model3": _CAR,
    "vehicle.audi.tt": _CAR,
    "vehicle.mercedes.sprinter": {**_CAR, "base_type": "van"},
    "vehicle.carlamotors.carlacola": {**_CAR, "base_type": "truck"},
    "vehicle.mitsubishi.fusorosa": {**_CAR, "base_type": "bus"},
    "vehicle.kawasaki.ninja": {**_CAR, "base_type": "motorcycle", "number_of_wheels": "2"},
    "vehicle.bh.crossbike": {**_CAR, "base_type": "bicycle", "number_of_wheels": "2"},
    "walker.pedestrian.0001": {"role_name": "pedestrian", "is_invincible": "true"},
    "controller.ai.walker": {"role_name": "walker"},
}
_CONSTANT = frozenset({"number_of_wheels", "base_type", "special_type"})
_RECOMMENDED = {"color": ["17,37,103", "180,44,44"]}


class FakeActorAttribute:
    """carla.ActorAttribute."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def recommended_values(self) -> list[str]:
        return list(_RECOMMENDED.get(self._name, []))


class FakeActorBlueprint:
    """carla.ActorBlueprint."""

    def __init__(self, name: str) -> None:
        self._id, self._values = name, dict(ATTRIBUTES[name])

    @property
    def id(self) -> str:
        return self._id

    def has_attribute(self, id: str) -> bool:
        return id in self._values

    def get_attribute(self, id: str) -> FakeActorAttribute:
        if id not in self._values:
            raise IndexError(f"attribute '{id}' not found")
        return FakeActorAttribute(id)

    def set_attribute(self, id: str, value: str) -> None:
        if id not in self._values:
            raise IndexError(f"attribute '{id}' not found")
        if id in _CONSTANT or not isinstance(value, str):
            raise ValueError(f"attribute '{id}' takes no {value!r}")
        self._values[id] = value

    def _attributes(self) -> dict[str, str]:
        return dict(self._values)


class FakeBlueprintLibrary:
    """carla.BlueprintLibrary; every look-up gives a fresh blueprint, as the server's does."""

    def __init__(self, names: list[str] | None = None) -> None:
        self._names = list(ATTRIBUTES) if names is None else names

    def find(self, id: str) -> FakeActorBlueprint:
        if id not in self._names:
            raise IndexError(f"blueprint '{id}' not found")
        return copy.deepcopy(FakeActorBlueprint(id))

    def filter(self, wildcard_pattern: str) -> FakeBlueprintLibrary:
        return FakeBlueprintLibrary(fnmatch.filter(self._names, wildcard_pattern))

    def __iter__(self) -> Iterator[FakeActorBlueprint]:
        return iter([FakeActorBlueprint(name) for name in self._names])

    def __len__(self) -> int:
        return len(self._names)
