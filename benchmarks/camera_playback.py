# SPDX-License-Identifier: Apache-2.0
"""Plays a bag's cameras over and over as if they were live: every set gets the present time.

`bev play --loop` sets the clock back at the end of each loop, as a recording does. Here stamps
grow for as long as a benchmark runs, whatever the length of the bag and whatever the rate. The
images are in memory before the first is sent, so that this process costs next to nothing.

A benchmark runs this file as a process of its own and talks to it: sets are sent from the start;
those after the first line on stdin count; their stamps are in the report, which is written after
the last; the process ends when stdin does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from told_on_stdin import told_on_stdin

from bev_perception.bags import BagReader, BagWriter
from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.bag_index import message_stamp_ns
from bev_perception.bags.bag_writer import optical_frame
from bev_perception.errors import BagError
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.rig_file import load_rig
from bev_perception.perception import frame_sets
from bev_perception.resources import config_path
from bev_perception.ros.session import Session
from bev_perception.simulation import Simulator

SECOND = 1_000_000_000
CDR_STAMP = 4
"""Where the stamp of a message that begins with a Header is in its CDR."""


@dataclass(frozen=True)
class Moment:
    """What a bag has of one stamp.

    Attributes:
        messages: topic and CDR of CameraInfo and image of every camera, in order of recording.
        world_T_base: the vehicle's pose.
    """

    messages: list[tuple[str, bytearray]]
    world_T_base: RigidTransform


def write_town_bag(path: Path, num_sets: int, town: int = 1) -> None:
    """A drive of four 448x672 rgb8 cameras through a simulated town, at 10 Hz."""
    rig = load_rig(config_path("rigs/default.yaml"))
    with BagWriter(path) as writer:
        for frame_set in itertools.islice(frame_sets(Simulator(town, rig)), num_sets):
            writer.write_frame_set(frame_set, rig)


def read_moments(path: Path) -> list[Moment]:
    """All moments at which every camera has an image.

    Raises:
        BagError: there are none; the cameras' stamps must be equal.
    """
    with BagReader(path) as reader:
        wanted = [
            topic
            for camera in reader.camera_topics.values()
            for topic in (camera.camera_info_topic, camera.image_topic)
        ]
        bag = BagFile(path)
        found: dict[int, list[tuple[str, bytearray]]] = {}
        connections = [c for c in bag.connections if c.topic in wanted]
        for connection, log_ns, data in bag.messages(connections):
            stamp_ns = message_stamp_ns(bag, connection, log_ns, data)
            found.setdefault(stamp_ns, []).append((connection.topic, bytearray(data)))
        bag.close()
        moments = [
            Moment(messages, reader.world_T_base(stamp_ns) or RigidTransform.identity())
            for stamp_ns, messages in sorted(found.items())
            if {topic for topic, _ in messages} == set(wanted)
        ]
    if not moments:
        raise BagError(f"{path}: no stamp has an image and a CameraInfo of every camera")
    return moments


def rocking(seconds: float, degrees: float) -> RigidTransform:
    """Roll and pitch of a vehicle on its springs: slow and fast waves that never repeat."""
    roll = 0.6 * np.sin(1.7 * seconds) + 0.4 * np.sin(4.3 * seconds)
    pitch = 0.6 * np.sin(2.3 * seconds) + 0.4 * np.sin(6.1 * seconds)
    return RigidTransform.from_euler(*np.radians(degrees * np.array([roll, pitch])))


class Playback:
    """Publishers of the cameras, /tf and /tf_static.

    Args:
        node: whose publishers these are.
        bag: path, as write_town_bag makes it.
    """

    def __init__(self, node: Any, bag: Path) -> None:
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import CameraInfo, Image
        from tf2_msgs.msg import TFMessage

        from bev_perception.ros.transform_messages import transforms_message

        self._moments = read_moments(bag)
        self._message_of = transforms_message
        quality = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        with BagReader(bag) as reader:
            self.base_frame, rig, cameras = reader.base_frame, reader.rig(), reader.camera_topics
        self.publishers = {}
        for camera in cameras.values():
            for topic, kind in (
                (camera.camera_info_topic, CameraInfo),
                (camera.image_topic, Image),
            ):
                self.publishers[topic] = node.create_publisher(kind, topic, quality)
        self._moving = node.create_publisher(TFMessage, "/tf", 100)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._static = node.create_publisher(TFMessage, "/tf_static", latched)
        mountings = [
            (self.base_frame, optical_frame(name, rig[name]), rig[name].base_T_camera)
            for name in rig
        ]
        self._static.publish(transforms_message(time.time_ns(), mountings))

    def is_matched(self) -> bool:
        """Whether somebody listens to every camera."""
        return all(publisher.get_subscription_count() for publisher in self.publishers.values())

    def send(self, index: int, stamp_ns: int, rock: RigidTransform) -> None:
        """The set of a running index: the pose first, as it is in bags."""
        moment = self._moments[index % len(self._moments)]
        pose = moment.world_T_base @ rock
        self._moving.publish(self._message_of(stamp_ns, [("map", self.base_frame, pose)]))
        for topic, data in moment.messages:
            struct.pack_into("<iI", data, CDR_STAMP, *divmod(stamp_ns, SECOND))
            self.publishers[topic].publish(bytes(data))


def due_times(rate_hz: float, stopping: Callable[[], bool]) -> Iterator[tuple[int, float]]:
    """(stamp in nanoseconds, lateness in milliseconds) of one set after the other, at its time."""
    start_ns = time.time_ns()
    for index in itertools.count():
        due_ns = start_ns + round(index * SECOND / rate_hz)
        time.sleep(max(0.0, (due_ns - time.time_ns()) / SECOND))
        if stopping():
            return
        yield due_ns, (time.time_ns() - due_ns) * 1e-6


def main() -> None:
    """Plays until the report is written and stdin has ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bag", type=Path)
    parser.add_argument("--rate-hz", type=float, default=10.0)
    parser.add_argument("--sets", type=int, default=600, help="sets that count")
    parser.add_argument("--rock-deg", type=float, default=0.0, help="roll and pitch at most")
    parser.add_argument("--report", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    begun, ended = told_on_stdin()
    with Session("cameras") as session:
        playback = Playback(session.node, options.bag)

        def stopping() -> bool:
            return session.stopping or ended.is_set()

        while not playback.is_matched() and not stopping():
            time.sleep(0.02)
        stamps_ns: list[int] = []
        late_ms: list[float] = []
        for index, (stamp_ns, late) in enumerate(due_times(options.rate_hz, stopping)):
            if begun.is_set():
                stamps_ns.append(stamp_ns)
                late_ms.append(late)
            rock = rocking(index / options.rate_hz, options.rock_deg)
            playback.send(index, stamp_ns, rock)
            if len(stamps_ns) == options.sets:
                break
        partial = options.report.with_suffix(".partial")
        partial.write_text(json.dumps({"stamps_ns": stamps_ns, "late_ms": late_ms}))
        partial.rename(options.report)
        ended.wait()


if __name__ == "__main__":
    main()
