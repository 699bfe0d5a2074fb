# SPDX-License-Identifier: Apache-2.0
"""A ROS 2 domain that no one else on this machine is in."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from bev_perception.errors import ProcessError

DOMAINS = range(1, 102)
"""Those whose ports lie below the ones that Linux hands out."""

_REACH = ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY")
_PORT_BASE, _PORTS_PER_DOMAIN, _FIRST_PARTICIPANT = 7400, 250, 10


@contextmanager
def own_domain() -> Iterator[int]:
    """Sets, for this process and its children, a free domain that stays on this machine.

    Where the user has set ROS_DOMAIN_ID, or how far discovery reaches, that stays.

    Yields:
        The domain in use.

    Raises:
        ProcessError: every domain is taken.
    """
    wanted: dict[str, str] = {}
    if not os.environ.get("ROS_DOMAIN_ID"):
        wanted["ROS_DOMAIN_ID"] = str(free_domain())
    if not any(os.environ.get(name) for name in _REACH):
        humble = os.environ.get("ROS_DISTRO") == "humble"
        wanted |= {"ROS_LOCALHOST_ONLY": "1"} if humble else {_REACH[0]: "LOCALHOST"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield int(os.environ["ROS_DOMAIN_ID"])
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def free_domain() -> int:
    """A domain in which no participant of this machine is.

    Raises:
        ProcessError: every domain is taken.
    """
    domains = list(DOMAINS)
    random.shuffle(domains)
    for domain in domains:
        if _is_free(domain):
            return domain
    raise ProcessError(
        f"all ROS domains from {DOMAINS.start} to {DOMAINS.stop - 1} are in use on this machine; "
        f"end some ROS processes, or choose one with ROS_DOMAIN_ID"
    )


def _is_free(domain: int) -> bool:
    """Whether nobody holds the ports of the domain's first participant."""
    first = _PORT_BASE + _PORTS_PER_DOMAIN * domain
    for port in (first, first + _FIRST_PARTICIPANT):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True
