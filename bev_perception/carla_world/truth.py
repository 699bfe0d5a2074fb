# SPDX-License-Identifier: Apache-2.0
"""What is really there: boxes of everything around the ego vehicle at one tick."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import carla
import numpy as np

from bev_perception.carla_world.actor_classes import actor_class, is_possible, usual_box
from bev_perception.carla_world.conversion import box_of, pose_of, vector_of
from bev_perception.carla_world.faults import server_calls
from bev_perception.geometry import CarlaBox, ObjectBox, RigidTransform, box_from_carla

LABEL_RADIUS_M = 75.0
"""As in the embedded town: objects further from the ego vehicle are no labels."""

_OBJECTS = ("vehicle.", "walker.")


@dataclass(frozen=True)
class _Description:
    """What never changes of an actor: class and bounding box relative to it."""

    label: str
    box: CarlaBox


class GroundTruth:
    """Boxes of vehicles and walkers from snapshots, of parked cars from the town.

    Args:
        world: whose actors.
        ego_id: actor that is no label.
        parked: boxes in map.

    Attributes:
        repaired: how many actors of each blueprint had an impossible bounding box.
    """

    def __init__(self, world: carla.World, ego_id: int, parked: tuple[ObjectBox, ...]) -> None:
        self._world, self._parked = world, parked
        self._parked_centers = np.array([box.center for box in parked]).reshape(-1, 3)
        self._known: dict[int, _Description | None] = {ego_id: None}
        self.repaired: Counter[str] = Counter()

    def objects(
        self, snapshot: carla.WorldSnapshot, map_T_base: RigidTransform
    ) -> tuple[ObjectBox, ...]:
        """Everything within LABEL_RADIUS_M of base_link's origin, in base_link.

        Raises:
            CarlaError: the server does not answer.
        """
        self._describe_new(snapshot)
        here = map_T_base.translation[:2]
        boxes = [
            box
            for entry in snapshot
            if (known := self._known.get(entry.id)) is not None
            and np.linalg.norm((box := _box(entry, known)).center[:2] - here) <= LABEL_RADIUS_M
        ]
        away = np.linalg.norm(self._parked_centers[:, :2] - here, axis=1)
        boxes += [self._parked[index] for index in np.flatnonzero(away <= LABEL_RADIUS_M)]
        base_T_map = map_T_base.inverse()
        return tuple(box.transformed(base_T_map) for box in boxes)

    def _describe_new(self, snapshot: carla.WorldSnapshot) -> None:
        new = [entry.id for entry in snapshot if entry.id not in self._known]
        if not new:
            return
        with server_calls("asking for new actors"):
            for actor in self._world.get_actors(new):
                self._known[actor.id] = self._description(actor)
        for gone in new:
            self._known.setdefault(gone, None)

    def _description(self, actor: carla.Actor) -> _Description | None:
        if not actor.type_id.startswith(_OBJECTS):
            return None
        label = actor_class(actor.type_id, actor.attributes)
        box = box_of(actor.bounding_box)
        if not is_possible(box):
            self.repaired[actor.type_id] += 1
            box = usual_box(label)
        return _Description(label, box)


def _box(entry: carla.ActorSnapshot, known: _Description) -> ObjectBox:
    """Box in map of an actor at the snapshot's tick."""
    moving = known.box._replace(velocity=vector_of(entry.get_velocity()))
    return box_from_carla(known.label, entry.id, moving, pose_of(entry.get_transform()))
