# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with a CARLA server, by kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bev_perception.errors import CarlaError

_TIMEOUT = "time-out"
_EXPIRED = "expired episode"
_UNREACHABLE = ("resolve", "connection", "rpc", "broken pipe")


class NoServerError(CarlaError):
    """Nobody answers at the address."""


class ServerLostError(CarlaError):
    """The server has stopped answering."""


class WorldChangedError(CarlaError):
    """Another client has loaded or reloaded the world; all actors are gone."""


class EgoLostError(CarlaError):
    """The ego vehicle is no more."""


class CameraSilentError(CarlaError):
    """A camera has not delivered the image of a tick."""


class FrameLeftOutError(CameraSilentError):
    """A camera has gone past a tick without an image of it."""


@contextmanager
def server_calls(doing: str) -> Iterator[None]:
    """Turns the RuntimeErrors of the carla package into errors of a kind.

    Args:
        doing: what is asked of the server, for the message.

    Raises:
        ServerLostError: a call was not answered in time.
        WorldChangedError: the world is not the one that was.
        CarlaError: anything else that the server refuses.
    """
    try:
        yield
    except RuntimeError as error:
        raise _translated(str(error), doing) from error


def _translated(text: str, doing: str) -> CarlaError:
    known = text.lower()
    if _EXPIRED in known:
        return WorldChangedError(
            f"{doing}: another client has loaded or reloaded CARLA's world, and with it all "
            f"actors are gone; start again, and let one client alone choose the town"
        )
    if _TIMEOUT in known or any(word in known for word in _UNREACHABLE):
        return ServerLostError(
            f"{doing}: CARLA does not answer ({text}); it has ended, hangs or is too slow for "
            f"this: look at its window or log, or raise timeout_s"
        )
    return CarlaError(f"{doing}: CARLA refuses: {text}")
