# SPDX-License-Identifier: Apache-2.0
"""Stands between a player and a node, hands messages on, and spoils some of them now and then.

Topics come from below /player (the clock from /clock) and go out under their own names (the clock
as /soak/clock). Messages that nothing happens to stay serialized. Faults are those of
bev_perception.faults, one after the other in an order that the seed decides, each for a while on
one camera or on TF or the clock; the gaps between them are long enough for a node to recover.

benchmarks/soak.py runs this file as a process of its own: faults begin with the first line on
stdin and end with stdin; every fault that has ended is a line of JSON in the file --events, and
the last line says how many messages came.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from told_on_stdin import told_on_stdin

from bev_perception.bags import BagReader
from bev_perception.faults import FAULTS, Choice, Delivery, Fault, Injection, Injector, Kind
from bev_perception.ros.session import Session

PLAYER = "/player"
CLOCK, RELAYED_CLOCK = "/clock", "/soak/clock"
SHORTEST_S, LONGEST_S = 0.4, 3.0
MEAN_GAP_S = 4.0
FILLING_S = 6.0
"""Of huge images of all cameras, before the first fault."""

LEAST_GAP_S = 1.5


@dataclass(frozen=True)
class Route:
    """One topic.

    Attributes:
        source, target: names of the topic before and behind the relay.
        kind, camera: see faults.Delivery; static transforms are latched.
    """

    source: str
    target: str
    kind: Kind
    camera: str = ""

    @property
    def is_latched(self) -> bool:
        """By its kind."""
        return self.kind is Kind.STATIC_TF


@dataclass(frozen=True)
class Episode:
    """A fault at its time.

    Attributes:
        fault: what happens.
        cameras: which are hit; empty for TF and the clock.
        begin_s, end_s: after the relay was told to begin.
    """

    fault: Fault
    cameras: tuple[str, ...]
    begin_s: float
    end_s: float


def episodes(cameras: tuple[str, ...], seed: int, factor: float = 1.0) -> Iterator[Episode]:
    """Huge images of all cameras, then, endless, all faults in random order and in another one.

    The middleware's buffers keep the size of the largest image that they ever held. In the first
    seconds all of them become that large, and not camera by camera as chance has it.

    Args:
        cameras: of the rig.
        seed: of the order, the cameras and the times.
        factor: by which everything is shorter.
    """
    random = np.random.default_rng(seed)
    now_s = FILLING_S / factor
    yield Episode(FAULTS["huge"], cameras, 0.0, now_s)
    while True:
        for name in random.permutation(list(FAULTS)).tolist():
            fault = FAULTS[name]
            count = 2 if name == "swapped" else 1
            hit: tuple[str, ...] = ()
            if fault.kinds & {Kind.IMAGE, Kind.INFO}:
                hit = tuple(random.choice(cameras, count, replace=False).tolist())
            gap_s = LEAST_GAP_S + random.exponential(MEAN_GAP_S - LEAST_GAP_S)
            begin_s = now_s + gap_s / factor
            now_s = begin_s + random.uniform(SHORTEST_S, LONGEST_S) / factor
            yield Episode(fault, hit, begin_s, now_s)


def routes_of(bag: Path) -> tuple[Route, ...]:
    """Of a bag's cameras, TF and the clock."""
    with BagReader(bag) as reader:
        cameras = reader.camera_topics
    found = [Route(CLOCK, RELAYED_CLOCK, Kind.CLOCK)]
    for topic, kind in (("/tf", Kind.TF), ("/tf_static", Kind.STATIC_TF)):
        found.append(Route(PLAYER + topic, topic, kind))
    for name, topics in cameras.items():
        for topic, kind in (
            (topics.image_topic, Kind.IMAGE),
            (topics.camera_info_topic, Kind.INFO),
        ):
            found.append(Route(PLAYER + topic, topic, kind, name))
    return tuple(found)


class Relay:
    """Subscriptions and publishers of all routes.

    Args:
        node: whose they are.
        routes: see routes_of.

    Attributes:
        injector: of the fault that there is now; None for none.
        counts: messages that came, by kind.
    """

    def __init__(self, node: Any, routes: tuple[Route, ...]) -> None:
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

        self._waiting: list[tuple[int, int, Any, Any]] = []
        self._numbers = itertools.count()
        self._publishers: dict[tuple[Kind, str], Any] = {}
        self.injector: Injector | None = None
        self.kinds: frozenset[Kind] = frozenset()
        self.counts: dict[str, int] = {kind.value: 0 for kind in Kind}
        for route in routes:
            profile = QoSProfile(depth=20)
            if route.kind is Kind.IMAGE:
                profile = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
            if route.is_latched:
                profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
            message_type = _message_type(route.kind)
            self._publishers[route.kind, route.camera] = node.create_publisher(
                message_type, route.target, profile
            )
            node.create_subscription(
                message_type, route.source, self._callback(route, message_type), profile, raw=True
            )

    def publish_due(self) -> float:
        """Publishes what was held back and is due; seconds until the next, at most 0.05."""
        now_ns = time.monotonic_ns()
        while self._waiting and self._waiting[0][0] <= now_ns:
            _, _, publisher, message = heapq.heappop(self._waiting)
            publisher.publish(message)
        if not self._waiting:
            return 0.05
        return min(0.05, max(0.0, (self._waiting[0][0] - now_ns) * 1e-9))

    def _callback(self, route: Route, message_type: Any) -> Any:
        from rclpy.serialization import deserialize_message

        def receive(data: bytes) -> None:
            self.counts[route.kind.value] += 1
            publisher = self._publishers[route.kind, route.camera]
            if self.injector is None or route.kind not in self.kinds:
                publisher.publish(bytes(data))
                return
            now_ns = time.monotonic_ns()
            message = deserialize_message(data, message_type)
            for found in self.injector.feed(Delivery(route.kind, route.camera, now_ns, message)):
                target = self._publishers[found.kind, found.camera]
                if found.time_ns <= now_ns:
                    target.publish(found.message)
                else:
                    entry = (found.time_ns, next(self._numbers), target, found.message)
                    heapq.heappush(self._waiting, entry)

        return receive


def _message_type(kind: Kind) -> Any:
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import CameraInfo, Image
    from tf2_msgs.msg import TFMessage

    return {
        Kind.IMAGE: Image,
        Kind.INFO: CameraInfo,
        Kind.TF: TFMessage,
        Kind.STATIC_TF: TFMessage,
        Kind.CLOCK: Clock,
    }[kind]


def main() -> None:
    """Relays until it is interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bag", type=Path)
    parser.add_argument("--events", type=Path, required=True, help="JSON lines to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--factor", type=float, default=1.0, help="by which all is shorter")
    options = parser.parse_args()
    begun, ended = told_on_stdin()
    routes = routes_of(options.bag)
    cameras = tuple(route.camera for route in routes if route.kind is Kind.IMAGE)
    with Session("relay") as session, options.events.open("w") as events:
        relay = Relay(session.node, routes)
        plan = episodes(cameras, options.seed, options.factor)
        episode, is_on, start_s = next(plan), False, 0.0
        while not session.stopping:
            session.spin_once(relay.publish_due())
            if not begun.is_set():
                start_s = time.monotonic()
                continue
            now_s = time.monotonic() - start_s
            if is_on and (now_s >= episode.end_s or ended.is_set()):
                relay.injector, is_on = None, False
                event = {"fault": episode.fault.name, "cameras": episode.cameras}
                event |= {"begin": start_s + episode.begin_s, "end": time.monotonic()}
                events.write(json.dumps(event) + "\n")
                events.flush()
                episode = next(plan)
            elif not is_on and not ended.is_set() and now_s >= episode.begin_s:
                choice = Choice(cameras=episode.cameras, seed=options.seed)
                relay.injector = Injector([Injection(episode.fault, choice)])
                relay.kinds, is_on = episode.fault.kinds, True
        events.write(json.dumps({"relayed": relay.counts}) + "\n")


if __name__ == "__main__":
    main()
