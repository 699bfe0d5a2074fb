# SPDX-License-Identifier: Apache-2.0
"""Doubles of CARLA's actors."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import carla
import numpy as np

from carla_double.left_handed import matrix_of, transform_of

if TYPE_CHECKING:
    from carla_double.server import CarlaDouble


class FakeActor:
    """carla.Actor."""

    def __init__(
        self,
        server: CarlaDouble,
        actor_id: int,
        type_id: str,
        attributes: dict[str, str],
        transform: carla.Transform,
        parent: FakeActor | None = None,
    ) -> None:
        self._server, self._id, self._type_id = server, actor_id, type_id
        self._attributes, self._parent = attributes, parent
        self._matrix = matrix_of(transform)
        self._velocity = carla.Vector3D()
        self._box = carla.BoundingBox(carla.Location(), carla.Vector3D(0.5, 0.5, 0.5))
        self._alive = True

    @property
    def id(self) -> int:
        return self._id

    @property
    def type_id(self) -> str:
        return self._type_id

    @property
    def attributes(self) -> dict[str, str]:
        return dict(self._attributes)

    @property
    def bounding_box(self) -> carla.BoundingBox:
        return self._box

    @property
    def is_alive(self) -> bool:
        return self._alive

    def get_transform(self) -> carla.Transform:
        return transform_of(self._world_matrix())

    def get_velocity(self) -> carla.Vector3D:
        return self._velocity

    def _world_matrix(self) -> np.ndarray:
        """Left-handed (4, 4); an attached actor's own is relative to its parent."""
        if self._parent is None:
            return self._matrix
        return self._parent._world_matrix() @ self._matrix

    def _check(self) -> None:
        self._server.answer()
        if not self._alive:
            raise RuntimeError(
                "trying to operate on a destroyed actor; an actor's function was called, but the "
                "actor is already destroyed."
            )

    def _end(self) -> None:
        self._alive = False


class FakeVehicle(FakeActor):
    """carla.Vehicle."""

    def set_autopilot(self, enabled: bool = True, tm_port: int = 8000) -> None:
        self._check()
        self._server.autopilots[self.id] = tm_port

    def get_physics_control(self) -> carla.VehiclePhysicsControl:
        self._check()
        control = carla.VehiclePhysicsControl()
        control.wheels = self._server.wheels_of(self)
        return control


class FakeWalker(FakeActor):
    """carla.Walker."""


class FakeWalkerAIController(FakeActor):
    """carla.WalkerAIController."""

    _walks = False

    def start(self) -> None:
        self._check()
        self._walks = True

    def stop(self) -> None:
        self._check()
        self._walks = False

    def go_to_location(self, destination: carla.Location) -> None:
        self._check()
        if not self._walks:
            raise RuntimeError("the walker has not been started")

    def set_max_speed(self, speed: float = 1.4) -> None:
        self._check()


class FakeSensor(FakeActor):
    """carla.Sensor: calls back in a thread of its own, in order."""

    _inbox: SimpleQueue[Any] | None = None

    def listen(self, callback: Callable[[Any], None]) -> None:
        self._check()
        self._inbox = SimpleQueue()
        threading.Thread(target=_deliver, args=(self._inbox, callback), daemon=True).start()

    def stop(self) -> None:
        self._check()
        self._hang_up()

    def is_listening(self) -> bool:
        return self._inbox is not None

    def _send(self, data: Any) -> None:
        if self._inbox is not None:
            self._inbox.put(data)

    def _hang_up(self) -> None:
        if self._inbox is not None:
            self._inbox.put(None)
            self._inbox = None

    def _end(self) -> None:
        if self.is_listening():
            self._server.violations.append(f"sensor {self.id} was removed while it was listening")
        self._hang_up()
        super()._end()


class FakeActorList:
    """carla.ActorList."""

    def __init__(self, actors: list[FakeActor]) -> None:
        self._actors = actors

    def filter(self, wildcard_pattern: str) -> FakeActorList:
        chosen = [a for a in self._actors if fnmatch.fnmatch(a.type_id, wildcard_pattern)]
        return FakeActorList(chosen)

    def __iter__(self) -> Iterator[FakeActor]:
        return iter(self._actors)

    def __len__(self) -> int:
        return len(self._actors)


def _deliver(inbox: SimpleQueue[Any], callback: Callable[[Any], None]) -> None:
    while (data := inbox.get()) is not None:
        callback(data)


def kind_of(type_id: str) -> type[FakeActor]:
    """The double of an actor's class."""
    kinds: dict[str, type[FakeActor]] = {
        "sensor.": FakeSensor,
        "vehicle.": FakeVehicle,
        "walker.": FakeWalker,
        "controller.": FakeWalkerAIController,
    }
    return next(kind for prefix, kind in kinds.items() if type_id.startswith(prefix))
