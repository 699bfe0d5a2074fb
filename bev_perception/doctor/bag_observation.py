# SPDX-License-Identifier: Apache-2.0
"""Observes a bag: one pass over the messages that the doctor looks into."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bev_perception.bags.bag_file import BagFile, about
from bev_perception.doctor.collector import READ_TYPES, Collector
from bev_perception.doctor.recording import Observation
from bev_perception.geometry.rig_file import RigFile


def observe_bag(
    path: str | Path,
    rig_file: RigFile | None = None,
    on_message: Callable[[], Any] | None = None,
) -> Observation:
    """Reads a bag once; images are looked at but mostly not decoded.

    Args:
        path: folder of the bag, or its .mcap or .db3 file.
        rig_file: names topics, frames or calibrations that the bag does not tell.
        on_message: called for each message, for progress.

    Raises:
        BagError: the bag is missing, damaged, or lacks a topic that the rig file names.
    """
    with about(Path(path)), closing(BagFile(path)) as bag:
        connections = {c.topic: c for c in bag.connections if c.msgtype in READ_TYPES}
        collector = Collector(
            lambda topic, _, raw: bag.decode(connections[topic], raw), *bag.log_range_ns, rig_file
        )
        wanted = list(connections.values())
        for connection, log_ns, raw in bag.messages(wanted) if wanted else ():
            collector.add(connection.topic, connection.msgtype, log_ns, raw)
            if on_message is not None:
                on_message()
        return collector.observation(str(path), bag.connections)
