# SPDX-License-Identifier: Apache-2.0
"""Doubles of carla.Client, carla.TrafficManager and carla.command.Response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import carla

from carla_double.server import CarlaDouble
from carla_double.world import FakeWorld

_LISTENING: dict[int, CarlaDouble] = {}
CLIENT_VERSION: str = carla.Client("localhost").get_client_version()


@contextmanager
def installed(double: CarlaDouble, port: int = 2000) -> Iterator[CarlaDouble]:
    """carla.Client reaches the double at localhost and this port, and nobody elsewhere."""
    _LISTENING[port] = double
    try:
        with mock.patch.object(carla, "Client", FakeClient):
            yield double
    finally:
        del _LISTENING[port]
        double.close()


class FakeResponse:
    """carla.command.Response."""

    def __init__(self, actor_id: int, error: str) -> None:
        self._actor_id, self._error = actor_id, error

    @property
    def actor_id(self) -> int:
        return self._actor_id

    @property
    def error(self) -> str:
        return self._error

    def has_error(self) -> bool:
        return bool(self._error)


class FakeTrafficManager:
    """carla.TrafficManager."""

    def __init__(self, server: CarlaDouble, port: int) -> None:
        self._server, self._port = server, port

    def set_synchronous_mode(self, mode_switch: bool) -> None:
        if mode_switch:
            self._server.synchronous_managers.add(self._port)
        else:
            self._server.synchronous_managers.discard(self._port)

    def set_random_device_seed(self, value: int) -> None:
        assert value >= 0

    def get_port(self) -> int:
        return self._port


class FakeClient:
    """carla.Client: says nothing about a server that is not there before the first call."""

    def __init__(self, host: str = "127.0.0.1", port: int = 2000, worker_threads: int = 0) -> None:
        self._host, self._port, self._timeout_s = host, port, 5.0

    def set_timeout(self, seconds: float) -> None:
        assert seconds > 0.0
        self._timeout_s = seconds

    def get_client_version(self) -> str:
        return CLIENT_VERSION

    def get_server_version(self) -> str:
        return self._server().version

    def get_available_maps(self) -> list[str]:
        return list(self._server().maps)

    def get_world(self) -> FakeWorld:
        return FakeWorld(self._server())

    def load_world(
        self,
        map_name: str,
        reset_settings: bool = True,
        map_layers: Any = carla.MapLayer.All,
    ) -> FakeWorld:
        server = self._server()
        if map_name not in server.maps:
            raise RuntimeError("map not found")
        server.load(map_name, reset_settings)
        return FakeWorld(server)

    def get_trafficmanager(self, port: int = 8000) -> FakeTrafficManager:
        return FakeTrafficManager(self._server(), port)

    def apply_batch_sync(
        self, commands: Sequence[Any], do_tick: bool = False
    ) -> list[FakeResponse]:
        server = self._server()
        responses = []
        for command in commands:
            assert isinstance(command, carla.command.DestroyActor)
            found = server.destroy(command.actor_id)
            error = "" if found else f"unable to destroy actor: {command.actor_id} not found"
            responses.append(FakeResponse(command.actor_id, error))
        return responses

    def _server(self) -> CarlaDouble:
        server = _LISTENING.get(self._port)
        if server is None or self._host not in ("localhost", "127.0.0.1"):
            raise RuntimeError(
                f"time-out of {self._timeout_s * 1000:.0f}ms while waiting for the simulator, make "
                f"sure the simulator is ready and connected to {self._host}:{self._port}"
            )
        server.answer()
        return server
