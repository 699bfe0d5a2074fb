# SPDX-License-Identifier: Apache-2.0
"""The actors that were spawned here, and how they are removed."""

from __future__ import annotations

import carla

from bev_perception.carla_world.faults import ServerLostError, WorldChangedError, server_calls
from bev_perception.carla_world.interrupts import interrupts_deferred
from bev_perception.errors import CarlaError

_STOPPED_FIRST = ("sensor.", "controller.")


class SpawnedActors:
    """Knows every actor of this session, from its first moment on.

    Args:
        client: of the server.
        world: where they live.
    """

    def __init__(self, client: carla.Client, world: carla.World) -> None:
        self._client, self._world = client, world
        self._actors: list[carla.Actor] = []

    def __len__(self) -> int:
        return len(self._actors)

    def spawn(
        self,
        blueprint: carla.ActorBlueprint,
        transform: carla.Transform,
        attach_to: carla.Actor | None = None,
    ) -> carla.Actor | None:
        """A new actor; None where there is no room for it or the server has no more.

        Args:
            blueprint: what it is.
            transform: in the world, or relative to the actor that it is attached to.
            attach_to: actor that carries it along.

        Raises:
            CarlaError: the server does not answer.
        """
        with server_calls(f"spawning {blueprint.id}"), interrupts_deferred():
            actor = self._world.try_spawn_actor(blueprint, transform, attach_to)
            if actor is not None:
                self._actors.append(actor)
        return actor

    def destroy_all(self) -> None:
        """Removes all of them; sensors and controllers are stopped first.

        Raises:
            CarlaError: the server has refused or not answered; those that it still has are
                named. A world that is gone has taken its actors along, which is no error.
        """
        actors, self._actors = list(reversed(self._actors)), []
        if not actors:
            return
        try:
            for actor in actors:
                if actor.type_id.startswith(_STOPPED_FIRST):
                    self._stop(actor)
            self._destroy(actors)
        except WorldChangedError:
            return

    def _stop(self, actor: carla.Actor) -> None:
        """A sensor or controller that cannot be stopped is still destroyed."""
        try:
            with server_calls(f"stopping {actor.type_id}"):
                actor.stop()
        except (ServerLostError, WorldChangedError):
            raise
        except CarlaError:
            return

    def _destroy(self, actors: list[carla.Actor]) -> None:
        commands = [carla.command.DestroyActor(actor.id) for actor in actors]
        with server_calls("removing what was spawned"):
            responses = self._client.apply_batch_sync(commands, False)
        failed = [
            f"{actor.type_id} ({actor.id}): {response.error}"
            for actor, response in zip(actors, responses, strict=True)
            if response.has_error() and "not found" not in response.error
        ]
        if failed:
            raise CarlaError(f"CARLA has not removed {len(failed)} actors: {'; '.join(failed[:5])}")
