# SPDX-License-Identifier: Apache-2.0
"""What kind of object an actor is, and how large it is where CARLA does not say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bev_perception.geometry import CarlaBox
from bev_perception.geometry.class_names import object_class

USUAL_SIZE: dict[str, tuple[float, float, float]] = {
    "car": (4.6, 1.9, 1.5),
    "van": (5.6, 2.1, 2.5),
    "truck": (7.8, 2.6, 3.4),
    "bus": (11.0, 2.6, 3.2),
    "motorcycle": (2.2, 0.8, 1.6),
    "bicycle": (1.8, 0.6, 1.7),
    "pedestrian": (0.5, 0.5, 1.8),
}
"""Length, width and height in metres, by class; taken where a bounding box is impossible."""

SMALLEST_HALF_M, LARGEST_HALF_M = 0.05, 15.0

_DECISIVE_TYPES = frozenset({"van", "bus", "motorcycle", "bicycle"})


def actor_class(type_id: str, attributes: Mapping[str, str]) -> str:
    """Member of OBJECT_CLASSES of a vehicle or walker.

    Releases from 0.9.14 on tell a base_type; it counts a pickup among trucks, which the
    blueprint's own name corrects. Older ones leave the name and the number of wheels.
    """
    named = object_class(type_id)
    base_type = attributes.get("base_type", "").strip().lower()
    if base_type in _DECISIVE_TYPES:
        return object_class(base_type)
    if attributes.get("number_of_wheels") == "2" and named not in ("bicycle", "motorcycle"):
        return "motorcycle"
    if base_type == "truck" and named == "car" and "cybertruck" not in type_id:
        return "truck"
    return named


def is_possible(box: CarlaBox) -> bool:
    """Whether a bounding box is one: some two-wheelers have none or one of 250 m.

    Carla issues 3670, 4189, 5376 and 7596, all releases before 0.9.16.
    """
    sides = np.asarray(box.extent)
    values = np.array([*sides, *box.location])
    return bool(
        np.isfinite(values).all()
        and (sides >= SMALLEST_HALF_M).all()
        and (np.abs(values) <= LARGEST_HALF_M).all()
    )


def usual_box(label: str) -> CarlaBox:
    """A box of the class's usual size; a vehicle's origin is on the ground, a walker's midway."""
    size = np.array(USUAL_SIZE.get(label, USUAL_SIZE["car"]))
    height = 0.0 if label == "pedestrian" else size[2] / 2.0
    return CarlaBox(np.array([0.0, 0.0, height]), 0.0, 0.0, 0.0, size / 2.0, np.zeros(3))
