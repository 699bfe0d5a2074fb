# SPDX-License-Identifier: Apache-2.0
"""Class names of other data sets and simulators, mapped to OBJECT_CLASSES."""

from __future__ import annotations

import re
from functools import lru_cache

from bev_perception.geometry.boxes import OBJECT_CLASSES

UNKNOWN = "unknown"

_ALIASES = {
    # COCO and generic detectors
    "person": "pedestrian",
    "people": "pedestrian",
    "walker": "pedestrian",
    "human": "pedestrian",
    "adult": "pedestrian",
    "child": "pedestrian",
    "motorbike": "motorcycle",
    "motorcyclist": "motorcycle",
    "bike": "bicycle",
    "cyclist": "bicycle",
    "cycle": "bicycle",
    "automobile": "car",
    "sedan": "car",
    "suv": "car",
    "pickup": "car",
    "taxi": "car",
    "police": "car",
    "vehicle": "car",
    "minivan": "van",
    "lorry": "truck",
    "trafficcone": "traffic_cone",
    "cone": "traffic_cone",
    "construction": "construction_vehicle",
    # nuScenes' full category names that do not end in the class
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.emergency.ambulance": "van",
    "vehicle.emergency.police": "car",
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
    # CARLA blueprints whose maker and model do not tell the class; the rest of
    # vehicle.* are cars
    "vehicle.bh.crossbike": "bicycle",
    "vehicle.diamondback.century": "bicycle",
    "vehicle.gazelle.omafiets": "bicycle",
    "vehicle.harley-davidson.low_rider": "motorcycle",
    "vehicle.kawasaki.ninja": "motorcycle",
    "vehicle.vespa.zx125": "motorcycle",
    "vehicle.yamaha.yzf": "motorcycle",
    "vehicle.carlamotors.carlacola": "truck",
    "vehicle.carlamotors.european_hgv": "truck",
    "vehicle.carlamotors.firetruck": "truck",
    "vehicle.tesla.cybertruck": "car",
    "vehicle.ford.ambulance": "van",
    "vehicle.mercedes.sprinter": "van",
    "vehicle.volkswagen.t2": "van",
    "vehicle.volkswagen.t2_2021": "van",
    "vehicle.mitsubishi.fusorosa": "bus",
    # CARLA semantic tags
    "rider": "unknown",
    "train": "unknown",
}

_PREFIXES = (("vehicle.", "car"), ("human.pedestrian.", "pedestrian"), ("walker.", "pedestrian"))


@lru_cache(maxsize=4096)
def object_class(name: str) -> str:
    """The member of OBJECT_CLASSES that a foreign class name means, else ``unknown``.

    Case, spaces and hyphens do not matter; a dotted name is tried whole, then by its last
    word, then by its family (``vehicle.audi.tt`` is a car).
    """
    dotted = re.sub(r"\s+", "_", name.strip().lower())
    last = dotted.replace("-", "_").rsplit(".", 1)[-1]
    for candidate in (dotted, last):
        if candidate in _ALIASES:
            return _ALIASES[candidate]
        if candidate in OBJECT_CLASSES:
            return candidate
    return next((label for prefix, label in _PREFIXES if dotted.startswith(prefix)), UNKNOWN)
