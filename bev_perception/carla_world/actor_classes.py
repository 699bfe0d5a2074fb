# SPDX-License-Identifier: Apache-2.0
"""What kind of object an actor is, and how large it is where CARLA does not say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bev_perception.geometry import CarlaBox
from bev_perception.geometry.class_names import object_class
from bev_perception.geometry.usual_sizes import is_possible_size, usual_size

FURTHEST_CENTRE_M = 15.0
"""From an actor's origin to the middle of its box, along each axis."""

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
    """Whether a bounding box may be that of a road user; see is_possible_size."""
    place = np.asarray(box.location)
    return is_possible_size(2.0 * np.asarray(box.extent)) and bool(
        np.isfinite(place).all() and (np.abs(place) <= FURTHEST_CENTRE_M).all()
    )


def usual_box(label: str) -> CarlaBox:
    """A box of the class's usual size; a vehicle's origin is on the ground, a walker's midway."""
    size = usual_size(label)
    height = 0.0 if label == "pedestrian" else size[2] / 2.0
    return CarlaBox(np.array([0.0, 0.0, height]), 0.0, 0.0, 0.0, size / 2.0, np.zeros(3))
