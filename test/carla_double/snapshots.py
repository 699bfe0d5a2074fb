# SPDX-License-Identifier: Apache-2.0
"""Doubles of CARLA's snapshots: the state at one tick, which does not change any more."""

from __future__ import annotations

from collections.abc import Iterator

import carla


class FakeActorSnapshot:
    """carla.ActorSnapshot."""

    def __init__(self, actor_id: int, transform: carla.Transform, velocity: carla.Vector3D) -> None:
        self._id, self._transform, self._velocity = actor_id, transform, velocity

    @property
    def id(self) -> int:
        return self._id

    def get_transform(self) -> carla.Transform:
        return self._transform

    def get_velocity(self) -> carla.Vector3D:
        return self._velocity


class FakeWorldSnapshot:
    """carla.WorldSnapshot."""

    def __init__(self, timestamp: carla.Timestamp, actors: list[FakeActorSnapshot]) -> None:
        self._timestamp = timestamp
        self._actors = {entry.id: entry for entry in actors}

    @property
    def frame(self) -> int:
        return self._timestamp.frame

    @property
    def timestamp(self) -> carla.Timestamp:
        return self._timestamp

    def find(self, actor_id: int) -> FakeActorSnapshot | None:
        return self._actors.get(actor_id)

    def __iter__(self) -> Iterator[FakeActorSnapshot]:
        return iter(list(self._actors.values()))

    def __len__(self) -> int:
        return len(self._actors)
