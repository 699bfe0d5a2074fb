# SPDX-License-Identifier: Apache-2.0
"""What the world hands to the renderer: meshes, moving objects, weather.

Everything is in the ``map`` frame of REP-105: x east, y north, z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import ObjectBox, RigidTransform


class Material(IntEnum):
    """How the shader textures a surface."""

    PLAIN = 0
    ASPHALT = 1
    PAVEMENT = 2
    GRASS = 3
    MARKING = 4
    FACADE = 5
    GLASS = 6
    FOLIAGE = 7
    PAINT = 8
    """Multiplied with the object's own colour."""
    LIGHT = 9


@dataclass(frozen=True)
class Mesh:
    """Triangles.

    Attributes:
        vertices: (V, 3) float32 metres.
        normals: (V, 3) float32 unit vectors.
        colors: (V, 3) float32 linear RGB in 0..1.
        materials: (V,) uint8 of Material.
        faces: (F, 3) int32, counter-clockwise seen from outside.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    colors: NDArray[np.float32]
    materials: NDArray[np.uint8]
    faces: NDArray[np.int32]


@dataclass(frozen=True)
class ObjectState:
    """One vehicle or pedestrian at one moment.

    Attributes:
        model: key of CATALOG; decides mesh, class and size.
        box: pose (centre of the cuboid), size and velocity in map.
        color: (3,) linear RGB for Material.PAINT.
        phase: gait or wheel phase in radians, for animation.
    """

    model: str
    box: ObjectBox
    color: tuple[float, float, float]
    phase: float = 0.0


@dataclass(frozen=True)
class WorldState:
    """All that moves, at one moment.

    Attributes:
        stamp_ns: simulation time, integer nanoseconds, starting above 0.
        map_T_base: ego base_link, at the ground below the rear axle.
        ego_velocity: (3,) metres per second in map.
        objects: everything but the ego vehicle.
    """

    stamp_ns: int
    map_T_base: RigidTransform
    ego_velocity: NDArray[np.float64]
    objects: tuple[ObjectState, ...]


@dataclass(frozen=True)
class Weather:
    """Light and air.

    Attributes:
        sun_azimuth_deg, sun_elevation_deg: direction to the sun in map.
        sun_strength: direct light; 0 is overcast without shadows.
        ambient_strength: light from the sky.
        fog_density: per metre; 0 is clear.
        sky_color: (3,) linear RGB at the horizon.
        exposure: factor on the final image.
        tint: (3,) white balance factors.
        noise: standard deviation of sensor noise in 8-bit units.
    """

    sun_azimuth_deg: float = 135.0
    sun_elevation_deg: float = 45.0
    sun_strength: float = 1.0
    ambient_strength: float = 0.6
    fog_density: float = 0.0
    sky_color: tuple[float, float, float] = (0.62, 0.75, 0.93)
    exposure: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise: float = 0.0


@dataclass(frozen=True)
class CatalogEntry:
    """Class and size (length, width, height in metres) of one model."""

    label: str
    size: tuple[float, float, float]


CATALOG: dict[str, CatalogEntry] = {
    "sedan": CatalogEntry("car", (4.7, 1.85, 1.46)),
    "hatchback": CatalogEntry("car", (4.1, 1.78, 1.50)),
    "estate": CatalogEntry("car", (4.8, 1.86, 1.52)),
    "suv": CatalogEntry("car", (4.7, 1.95, 1.75)),
    "pickup": CatalogEntry("car", (5.3, 1.95, 1.85)),
    "van": CatalogEntry("van", (5.4, 2.05, 2.35)),
    "delivery_van": CatalogEntry("van", (6.2, 2.10, 2.75)),
    "box_truck": CatalogEntry("truck", (8.0, 2.50, 3.40)),
    "tipper_truck": CatalogEntry("truck", (7.4, 2.50, 3.10)),
    "city_bus": CatalogEntry("bus", (12.0, 2.55, 3.15)),
    "motorcycle": CatalogEntry("motorcycle", (2.15, 0.80, 1.65)),
    "bicycle": CatalogEntry("bicycle", (1.80, 0.60, 1.75)),
    "pedestrian": CatalogEntry("pedestrian", (0.60, 0.60, 1.75)),
}
"""Models by name. The mesh of a model fills its size exactly."""


@dataclass(frozen=True)
class RenderedSet:
    """What all cameras of a rig see at one moment, by camera name.

    Attributes:
        images: (height, width, 3) uint8 RGB.
        ids: (height, width) uint16; 0 background, else 1 + index into WorldState.objects.
        depths: (height, width) float32 metres along the optical axis; inf for sky.
    """

    images: dict[str, NDArray[np.uint8]]
    ids: dict[str, NDArray[np.uint16]] = field(default_factory=dict)
    depths: dict[str, NDArray[np.float32]] = field(default_factory=dict)
