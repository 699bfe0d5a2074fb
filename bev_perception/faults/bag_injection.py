# SPDX-License-Identifier: Apache-2.0
"""Bags with faults in them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.bag_sink import BagSink
from bev_perception.bags.discovery import find_cameras
from bev_perception.bags.raw_topic import RawTopic, is_tf_static, raw_topic
from bev_perception.bags.typestore import CLOCK, TF, bag_typestore
from bev_perception.faults.delivery import Delivery, Kind
from bev_perception.faults.fault import Injection, Injector


def inject_into_bag(source: Path, target: Path, injections: Sequence[Injection]) -> None:
    """Copies a bag, with faults in what it says of cameras, TF and /clock.

    Times are those of recording, relative to nothing: see bag_range_ns. Messages that no fault
    changes are copied as they are. What arrives later lies later in the bag.

    Args:
        source: to read.
        target: to write, in source's storage; must not exist.
        injections: applied in their order.

    Raises:
        BagError: source cannot be read, or target cannot be written.
        ConfigurationError: a fault cannot be applied to what the bag holds.
    """
    bag = BagFile(source)
    sink = BagSink(Path(target), bag.storage, compressed=False)
    try:
        sink.open()
        _copy(bag, sink, Injector(injections))
        sink.commit()
    finally:
        sink.discard()
        bag.close()


def bag_range_ns(bag: Path) -> tuple[int, int]:
    """First and last time of recording, nanoseconds, for the times of a Choice.

    Raises:
        BagError: the bag cannot be read.
    """
    opened = BagFile(bag)
    try:
        return opened.log_range_ns
    finally:
        opened.close()


def _copy(bag: BagFile, sink: BagSink, injector: Injector) -> None:
    places = _places(bag)
    topics = {connection.topic: raw_topic(connection) for connection in bag.connections}
    sink.announce(topics.values())
    order, waiting = count(), list[tuple[int, int, RawTopic, bytes]]()
    for connection, log_ns, raw in bag.messages():
        while waiting and waiting[0][0] <= log_ns:
            _write(sink, heapq.heappop(waiting))
        topic = topics[connection.topic]
        place = places.get(connection.topic)
        if place is None:
            heapq.heappush(waiting, (log_ns, next(order), topic, raw))
            continue
        before = Delivery(*place, log_ns, bag.decode(connection, raw))
        for after in injector.feed(before):
            same = after.message is before.message
            data = raw if same else _serialized(after, topic)
            heapq.heappush(waiting, (after.time_ns, next(order), topic, data))
    while waiting:
        _write(sink, heapq.heappop(waiting))


def _places(bag: BagFile) -> dict[str, tuple[Kind, str]]:
    """Kind and camera by topic, of what faults can change."""
    places: dict[str, tuple[Kind, str]] = {}
    for name, camera in find_cameras(bag.connections).items():
        places[camera.image_topic] = Kind.IMAGE, name
        places[camera.camera_info_topic] = Kind.INFO, name
    for connection in bag.connections:
        if connection.msgtype == TF:
            static = is_tf_static(connection.topic)
            places[connection.topic] = Kind.STATIC_TF if static else Kind.TF, ""
        elif connection.msgtype == CLOCK:
            places[connection.topic] = Kind.CLOCK, ""
    return places


def _serialized(delivery: Delivery, topic: RawTopic) -> bytes:
    return bytes(bag_typestore().serialize_cdr(delivery.message, topic.msgtype))


def _write(sink: BagSink, entry: tuple[int, int, RawTopic, bytes]) -> None:
    log_ns, _, topic, data = entry
    sink.write_raw(topic, log_ns, data)
