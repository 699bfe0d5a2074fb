# SPDX-License-Identifier: Apache-2.0
"""The embedded town: a world, its traffic, and cameras and a LiDAR that see it."""

from bev_perception.simulation.lidar import DepthLidar, LidarSettings
from bev_perception.simulation.models import object_mesh
from bev_perception.simulation.renderer import Renderer
from bev_perception.simulation.scene import (
    CATALOG,
    CatalogEntry,
    Material,
    Mesh,
    ObjectState,
    RenderedSet,
    Weather,
    WorldState,
)
from bev_perception.simulation.simulator import SimulatedSet, Simulator
from bev_perception.simulation.splits import SPLITS, split_of
from bev_perception.simulation.town import Town
from bev_perception.simulation.traffic import Traffic
from bev_perception.simulation.weather import random_weather

__all__ = [
    "CATALOG",
    "SPLITS",
    "CatalogEntry",
    "DepthLidar",
    "LidarSettings",
    "Material",
    "Mesh",
    "ObjectState",
    "RenderedSet",
    "Renderer",
    "SimulatedSet",
    "Simulator",
    "Town",
    "Traffic",
    "Weather",
    "WorldState",
    "object_mesh",
    "random_weather",
    "split_of",
]
