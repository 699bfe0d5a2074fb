# SPDX-License-Identifier: Apache-2.0
"""Sets of classes that a network can tell apart in its segmentation.

A set is a tuple of groups of OBJECT_CLASSES. An object belongs to the smallest group of the
set that holds its class: beside ``two_wheeler`` a bicycle is no ``vehicle``; alone,
``vehicle`` is what vehicle IoU counts, bicycles included.
"""

from __future__ import annotations

from collections.abc import Sequence

from bev_perception.errors import ConfigurationError
from bev_perception.geometry.boxes import VEHICLE_CLASSES

CLASS_GROUPS = {
    "vehicle": VEHICLE_CLASSES,
    "pedestrian": frozenset({"pedestrian"}),
    "two_wheeler": frozenset({"motorcycle", "bicycle"}),
}
"""Members by group."""

VEHICLES = ("vehicle",)
ROAD_USERS = ("vehicle", "pedestrian", "two_wheeler")

_USUAL_MEMBER = {"vehicle": "car", "pedestrian": "pedestrian", "two_wheeler": "bicycle"}


def checked_class_set(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        ConfigurationError: none, one twice, or one that is no group.
    """
    chosen = (names,) if isinstance(names, str) else tuple(names)
    unknown = [name for name in chosen if name not in CLASS_GROUPS]
    if not chosen or unknown or len(set(chosen)) != len(chosen):
        raise ConfigurationError(
            f"classes must be different groups among {', '.join(CLASS_GROUPS)}, got {list(chosen)}"
        )
    return chosen


def class_index(label: str, names: Sequence[str]) -> int | None:
    """Position in the set of the group to which an object of this class belongs, None for none."""
    holding = [index for index, name in enumerate(names) if label in CLASS_GROUPS[name]]
    return min(holding, key=lambda index: len(CLASS_GROUPS[names[index]]), default=None)


def usual_member(group: str) -> str:
    """The class given to a detected object of which only the group is known."""
    return _USUAL_MEMBER[group]
