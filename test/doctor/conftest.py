# SPDX-License-Identifier: Apache-2.0
"""A healthy recording, and copies of it into which errors are injected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from injected_recordings import small_rig, write_healthy_bag

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.discovery import find_cameras
from bev_perception.bags.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    TF,
    bag_typestore,
    decode_message,
)
from bev_perception.doctor.checks import RECORDING_CHECKS
from bev_perception.doctor.collector import READ_TYPES, Collector
from bev_perception.doctor.examination import Examination, examine
from bev_perception.faults import Delivery, Injection, Injector, Kind

Examined = Callable[..., Examination]


@pytest.fixture(scope="session")
def healthy_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of four cameras."""
    return write_healthy_bag(tmp_path_factory.mktemp("doctor") / "healthy", small_rig(), 80)


class _Message(NamedTuple):
    topic: str
    msgtype: str
    log_ns: int
    raw: bytes


class _Topic(NamedTuple):
    topic: str
    msgtype: str
    msgcount: int


@pytest.fixture(scope="session")
def healthy_messages(healthy_bag: Path) -> list[_Message]:
    with closing(BagFile(healthy_bag)) as bag:
        return [
            _Message(c.topic, c.msgtype, log_ns, raw)
            for c, log_ns, raw in bag.messages()
            if c.msgtype in READ_TYPES
        ]


@pytest.fixture
def examined(healthy_messages: list[_Message]) -> Examined:
    """Examines the healthy bag's messages, errors injected; all but what looks into images.

    As inject_into_bag and observe_bag do it, without the files between them.
    """

    def make(*injections: Injection) -> Examination:
        messages = sorted(_injected(healthy_messages, injections), key=lambda each: each.log_ns)
        first, last = messages[0].log_ns, messages[-1].log_ns
        collector = Collector(lambda t, kind, raw: decode_message(kind, raw, t), first, last)
        counts = {each.topic: 0 for each in healthy_messages}
        for each in messages:
            counts[each.topic] += 1
            collector.add(*each)
        types = {each.topic: each.msgtype for each in healthy_messages}
        topics = [_Topic(topic, types[topic], count) for topic, count in counts.items()]
        return examine(collector.observation("injected", topics), RECORDING_CHECKS)

    return make


def _injected(messages: list[_Message], injections: tuple[Injection, ...]) -> Iterator[_Message]:
    places = _places(messages)
    injector = Injector(injections)
    for topic, msgtype, log_ns, raw in messages:
        place = places.get(topic)
        if place is None:
            yield _Message(topic, msgtype, log_ns, raw)
            continue
        before = Delivery(*place, log_ns, decode_message(msgtype, raw, topic))
        for after in injector.feed(before):
            same = after.message is before.message
            data = raw if same else bytes(bag_typestore().serialize_cdr(after.message, msgtype))
            yield _Message(topic, msgtype, after.time_ns, data)


def _places(messages: list[_Message]) -> dict[str, tuple[Kind, str]]:
    topics: list[Any] = [_Topic(each.topic, each.msgtype, 1) for each in messages]
    places: dict[str, tuple[Kind, str]] = {}
    for name, camera in find_cameras(topics).items():
        places[camera.image_topic] = Kind.IMAGE, name
        places[camera.camera_info_topic] = Kind.INFO, name
    for each in topics:
        assert each.msgtype != COMPRESSED_IMAGE or each.topic in places
        assert each.msgtype != CAMERA_INFO or each.topic in places
        if each.msgtype == TF:
            is_static = each.topic == "/tf_static"
            places[each.topic] = (Kind.STATIC_TF if is_static else Kind.TF), ""
    return places
