# SPDX-License-Identifier: Apache-2.0
"""From an address to a CARLA world: who answers, which version, which town."""

from __future__ import annotations

import re
from typing import Any

import carla

from bev_perception.carla_world.faults import NoServerError, server_calls
from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.errors import CarlaError

SUPPORTED = ((0, 9, 13), (0, 9, 16))
"""Oldest and newest release whose calls are known here."""

LOADING_TIMEOUT_S = 120.0
"""The least time that loading a town may take."""


def connect(settings: CarlaSettings) -> carla.Client:
    """A client of a server that answers and has the client's version.

    Raises:
        NoServerError: nobody answers within timeout_s.
        CarlaError: client and server differ, or are of a release that is not supported.
    """
    address = f"{settings.host}:{settings.port}"
    try:
        client = carla.Client(settings.host, settings.port)
        client.set_timeout(settings.timeout_s)
        server = client.get_server_version()  # the first call that needs a server
    except RuntimeError as error:
        raise NoServerError(
            f"no CARLA server answers at {address} within {settings.timeout_s:g} s ({error}); "
            f"start one (CarlaUE4.sh -RenderOffScreen), or set host and port"
        ) from error
    _check_versions(client.get_client_version(), server, address)
    return client


def enter_town(client: carla.Client, settings: CarlaSettings) -> carla.World:
    """The server's world, with the settings' town loaded where it was another.

    Raises:
        CarlaError: the server has no such town, or another client would have to load it.
    """
    with server_calls("asking for the world"):
        world = client.get_world()
        loaded = _short(world.get_map().name)
        if not settings.town or _short(settings.town).lower() == loaded.lower():
            return world
        towns = {_short(path): path for path in sorted(client.get_available_maps())}
    chosen = [path for name, path in towns.items() if name.lower() == _short(settings.town).lower()]
    if not chosen:
        raise CarlaError(
            f"this CARLA server has no town {settings.town!r}; it has {', '.join(towns)}"
        )
    if settings.passive:
        raise CarlaError(
            f"{loaded} is loaded and {settings.town} is asked for; in passive mode the client "
            f"that ticks loads towns: ask it, or leave town empty"
        )
    with server_calls(f"loading {settings.town}"):
        client.set_timeout(max(settings.timeout_s, LOADING_TIMEOUT_S))
        try:
            return client.load_world(chosen[0])
        finally:
            client.set_timeout(settings.timeout_s)


def town_names(client: carla.Client) -> tuple[str, ...]:
    """Towns that the server can load, in alphabetical order."""
    with server_calls("asking for the towns"):
        return tuple(sorted({_short(path) for path in client.get_available_maps()}))


def _check_versions(client: str, server: str, address: str) -> None:
    if _release(client) != _release(server):
        raise CarlaError(
            f"the carla package is version {client} and the server at {address} is {server}; "
            f"these do not understand each other: start a server of version {client}, "
            f"{_way_to_package(_release(server))}, or let carla_ros_bridge speak with it "
            f"(source:=ros_bridge)"
        )
    oldest, newest = SUPPORTED
    release = _release(server)
    if isinstance(release, tuple) and not oldest <= release <= newest:
        raise CarlaError(f"CARLA {server} is not supported; {_text(oldest)} to {_text(newest)} are")


def _way_to_package(release: Any) -> str:
    """How to come by the client of a release; docs/carla.md has who needs which."""
    if isinstance(release, tuple) and release < (0, 9, 15):
        return (
            f"build the package of {_text(release)} for this Python (make PythonAPI in its "
            f"sources; published ones are for Python 3.8 and older)"
        )
    return f"pip install carla=={_text(release)} where that has a wheel for this Python"


def _release(version: str) -> Any:
    """(major, minor, patch); the text itself where a build has no number."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return tuple(int(part) for part in found.groups()) if found else version


def _text(release: Any) -> str:
    return ".".join(map(str, release)) if isinstance(release, tuple) else str(release)


def _short(path: str) -> str:
    """Name of a town without the folders that releases put before it."""
    return path.rsplit("/", 1)[-1]
