# SPDX-License-Identifier: Apache-2.0
"""How many camera images arrive with and without the shipped Fast DDS profile.

    python benchmarks/transport.py [--seconds 10] [--rate 20] [--profile PATH]

One process publishes four 448x672 rgb8 cameras, another receives them, best effort and
reliable, once with the middleware's defaults and once with config/fastdds.xml. A set is
complete when all four images of one stamp came. Needs ROS 2 with Fast DDS.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from bev_perception.resources import config_path
from bev_perception.ros.environment import PROFILE_VARIABLES

CAMERAS = ("front", "left", "rear", "right")
HEIGHT, WIDTH = 448, 672
DEPTH = 5
WARM_UP_S = 1.0


def quality(reliability: str) -> QoSProfile:
    """The QoS of both sides."""
    return QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy[reliability.upper()])


def publish(rate: float, seconds: float, reliability: str) -> None:
    """Publishes all cameras of a set one after another, as a bag player or a simulator does."""
    rclpy.init()
    node = rclpy.create_node("cameras")
    publishers = [
        node.create_publisher(Image, f"/camera/{name}/image_raw", quality(reliability))
        for name in CAMERAS
    ]
    message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
    message.data = array.array("B", bytes(3 * WIDTH * HEIGHT))
    while not all(publisher.get_subscription_count() for publisher in publishers):
        time.sleep(0.02)
    start = time.monotonic()
    warm_up = round(rate * WARM_UP_S)  # the receiver may match later than this side
    for index in range(-warm_up, round(rate * seconds)):
        time.sleep(max(0.0, start + (index + warm_up) / rate - time.monotonic()))
        message.header.frame_id = str(index)
        for publisher in publishers:
            now = time.time_ns()
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
            publisher.publish(message)
    time.sleep(1.0)  # reliable images may still be sent again
    rclpy.try_shutdown()


def receive(reliability: str) -> None:
    """Counts until SIGINT, then prints a JSON object."""
    rclpy.init()
    node = rclpy.create_node("receiver")
    sets: Counter[str] = Counter()
    latencies: list[float] = []

    def count(message: Image) -> None:
        if message.header.frame_id.startswith("-"):
            return
        stamp = message.header.stamp
        latencies.append(1e-6 * (time.time_ns() - stamp.sec * 10**9 - stamp.nanosec))
        sets[message.header.frame_id] += 1

    for name in CAMERAS:
        node.create_subscription(Image, f"/camera/{name}/image_raw", count, quality(reliability))
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)
    complete = sum(number == len(CAMERAS) for number in sets.values())
    print(json.dumps({"latencies_ms": latencies, "complete": complete}), flush=True)


def measure(reliability: str, profile: Path | None, options: argparse.Namespace) -> str:
    """One row of the table."""
    environment = {key: v for key, v in os.environ.items() if key not in PROFILE_VARIABLES}
    if profile is not None:
        environment.update(dict.fromkeys(PROFILE_VARIABLES, str(profile)))
    command = [sys.executable, __file__, "--reliability", reliability]
    receiver = subprocess.Popen(
        [*command, "--role", "receive"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        rates = ["--rate", str(options.rate), "--seconds", str(options.seconds)]
        subprocess.run([*command, "--role", "publish", *rates], env=environment, check=True)
    finally:
        receiver.send_signal(signal.SIGINT)
        output, _ = receiver.communicate(timeout=20)
    result = json.loads(output.splitlines()[-1])  # Fast DDS logs to stdout, too
    latencies = sorted(result["latencies_ms"]) or [float("nan")]
    sets = round(options.rate * options.seconds)
    received = len(result["latencies_ms"])
    return (
        f"{reliability:<12} {'default' if profile is None else profile.name:<14} "
        f"{received:>5} of {4 * sets:<5} {received / (4 * sets):>6.0%} "
        f"{result['complete']:>5} of {sets:<5} "
        f"{statistics.median(latencies):>7.1f} {latencies[int(0.95 * len(latencies))]:>7.1f}"
    )


def main() -> None:
    """Prints the table, or plays one of the two roles."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of each row")
    parser.add_argument("--rate", type=float, default=20.0, help="sets per second")
    parser.add_argument("--profile", type=Path, default=None, help="instead of the shipped one")
    parser.add_argument("--role", choices=("publish", "receive"), help=argparse.SUPPRESS)
    parser.add_argument("--reliability", default="best_effort", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "publish":
        publish(options.rate, options.seconds, options.reliability)
    elif options.role == "receive":
        receive(options.reliability)
    else:
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors")
        print("reliability  profile         received            sets complete  p50 ms  p95 ms")
        shipped = options.profile or config_path("fastdds.xml")
        for reliability in ("best_effort", "reliable"):
            for profile in (None, shipped):
                print(measure(reliability, profile, options), flush=True)


if __name__ == "__main__":
    main()
