# SPDX-License-Identifier: Apache-2.0
"""A hostile publisher, a process of its own: floods one topic until its stdin ends.

python benchmarks/flooder.py images --rate-hz 500 --camera front
"""

from __future__ import annotations

import argparse
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.ros.object_messages import serialized_markers
from bev_perception.ros.session import Session
from bev_perception.ros.transform_messages import transforms_message

SECOND = 1_000_000_000
STAMP = 4
"""Where the stamp of a message that begins with a Header is in its CDR."""

Messages = Iterator[bytes]
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def images(width: int, height: int) -> Callable[[], Messages]:
    """Noise, every one with the present stamp."""

    def make() -> Messages:
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        message.header.frame_id = "front_optical_frame"
        pixels = np.random.default_rng(0).integers(0, 256, 3 * width * height, dtype=np.uint8)
        message.data.frombytes(pixels.tobytes())
        data = bytearray(serialize_message(message))
        while True:
            struct.pack_into("<iI", data, STAMP, *divmod(time.time_ns(), SECOND))
            yield bytes(data)

    return make


def new_frames() -> Messages:
    """Four hundred frames in every message that nobody has heard of before."""
    count = 0
    while True:
        names = [f"hostile_{number}" for number in range(count, count + 400)]
        count += 400
        identity = RigidTransform.identity()
        yield serialize_message(
            transforms_message(time.time_ns(), [("base_link", name, identity) for name in names])
        )


def changing_infos() -> Messages:
    """Another focal length every time."""
    message = CameraInfo(width=96, height=64, distortion_model="plumb_bob")
    message.header.frame_id = "front_optical_frame"
    message.d = [0.0] * 5
    for count in range(10**9):
        focal = 40.0 + 0.01 * (count % 1000)
        message.k = [focal, 0.0, 47.5, 0.0, focal, 31.5, 0.0, 0.0, 1.0]
        yield serialize_message(message)


def many_markers() -> Messages:
    """Twenty thousand boxes."""
    box = ObjectBox("car", 1, RigidTransform.identity(), np.array([4.0, 2.0, 1.5]))
    data = bytes(serialized_markers(0, "base_link", [box] * 20_000))
    while True:
        yield data


KINDS: dict[str, tuple[str, Any, QoSProfile, Callable[[], Messages]]] = {
    "images": ("/camera/{camera}/image_raw", Image, BEST_EFFORT, images(640, 480)),
    "huge_images": ("/camera/{camera}/image_raw", Image, BEST_EFFORT, images(8000, 4200)),
    "tf": ("/tf", TFMessage, QoSProfile(depth=100), new_frames),
    "tf_static": ("/tf_static", TFMessage, LATCHED, new_frames),
    "camera_info": ("/camera/{camera}/camera_info", CameraInfo, BEST_EFFORT, changing_infos),
    "markers": ("/bev/markers", MarkerArray, QoSProfile(depth=5), many_markers),
}
"""Topic, type, QoS and messages."""


def main() -> None:
    """Floods; prints how many messages were sent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--rate-hz", type=float, required=True)
    parser.add_argument("--camera", default="front")
    options = parser.parse_args()
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    topic, kind, qos, make = KINDS[options.kind]
    with Session("flooder") as session:
        publisher = session.node.create_publisher(kind, topic.format(camera=options.camera), qos)
        print("begun", flush=True)
        begun_ns, sent = time.monotonic_ns(), 0
        for data in make():
            if ended.is_set() or session.stopping:
                break
            publisher.publish(data)
            sent += 1
            due_ns = begun_ns + round(sent * SECOND / options.rate_hz)
            time.sleep(max(0.0, (due_ns - time.monotonic_ns()) / SECOND))
    seconds = (time.monotonic_ns() - begun_ns) / SECOND
    print(f"{sent / seconds:.0f}")


if __name__ == "__main__":
    main()
