# SPDX-License-Identifier: Apache-2.0
"""What a perception node says of itself on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ros_client import Client
from ros_processes import wait_for

CAMERAS = ("front", "left", "rear", "right")
OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)
PERIOD_S = 0.1


class Diagnoses:
    """What a node says of itself.

    Args:
        client: that listens.
        node: name of the node.
    """

    def __init__(self, client: Client, node: str) -> None:
        self._collected = client.collect("/diagnostics", DiagnosticArray)
        self._node = node

    def newest(self) -> dict[str, DiagnosticStatus]:
        """By part of the node."""
        prefix = f"{self._node}: "
        self._collected.wait_until(lambda message: message.status[0].name.startswith(prefix))
        own = [m for m in list(self._collected.messages) if m.status[0].name.startswith(prefix)]
        return {status.name.removeprefix(prefix): status for status in own[-1].status}

    def values(self, part: str) -> dict[str, str]:
        """Figures of a part of the node."""
        return {entry.key: entry.value for entry in self.newest()[part].values}

    def fresh_values(self, part: str) -> dict[str, str]:
        """Figures that the node works out after this call; its next message may be older."""
        known = len(self._collected.messages)

        def own() -> list[DiagnosticArray]:
            later = list(self._collected.messages)[known:]
            return [m for m in later if m.status[0].name.startswith(f"{self._node}: ")]

        wait_for(lambda: len(own()) > 1, what="two further messages of diagnostics")
        return self.values(part)

    def wait(self, expected: Mapping[str, tuple[bytes, str]]) -> dict[str, str]:
        """Until every part has its level and a message that holds the text; the messages."""

        def fits() -> bool:
            newest = self.newest()
            return all(
                newest[part].level == level and text in newest[part].message
                for part, (level, text) in expected.items()
            )

        try:
            wait_for(fits)
        except pytest.fail.Exception:
            seen = "\n".join(f"{s.name} {s.level!r} {s.message}" for s in self.newest().values())
            pytest.fail(f"expected {dict(expected)}, but diagnostics say\n{seen}")
        return {part: self.newest()[part].message for part in expected}

    def wait_for_publisher(self, publisher: str, cameras: Sequence[str] = CAMERAS) -> None:
        """Until the node has discovered a publisher, by its node's name, of all these images."""
        wait_for(
            lambda: all(
                f"{publisher} (" in self.values(f"camera {name}")["publishers"] for name in cameras
            ),
            what=f"{publisher} among the publishers of {cameras} in the diagnostics",
        )

    def wait_well(self) -> None:
        """Until all cameras, the synchronisation and the engine are well."""
        parts = [*(f"camera {name}" for name in CAMERAS), "synchronization", "engine"]
        self.wait({part: (OK, "") for part in parts})
