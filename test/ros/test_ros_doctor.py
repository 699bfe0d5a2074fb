# SPDX-License-Identifier: Apache-2.0
"""bev doctor --live: what is wrong on topics is found as it is in a bag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from injected_recordings import known, small_rig, write_healthy_bag

from bev_perception.doctor.checks_of_images import IMAGE_CHECKS
from bev_perception.faults import inject_into_bag

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_client import Client
from ros_processes import wait_for
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage

from bev_perception.doctor.checks import CHECKS, RECORDING_CHECKS
from bev_perception.doctor.examination import examine
from bev_perception.doctor.finding import Severity
from bev_perception.ros.topic_observer import TopicObserver
from bev_perception.ros.topic_selection import TopicSelection

STATIC_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SECOND = 1_000_000_000
CLI = "bev_perception.cli.main"
IMAGES = ",".join(check.name for check in IMAGE_CHECKS)
"""Left out: the images are noise."""


def test_live_topics_are_examined_as_bags_are(ros_process: Any, tmp_path: Path) -> None:
    healthy = write_healthy_bag(tmp_path / "healthy", small_rig(), 20)
    zeros = known("info_zero", cameras=("left",))
    inject_into_bag(healthy, tmp_path / "spoiled", [zeros, known("dead", cameras=("rear",))])
    out = tmp_path / "out"
    options = ("--duration", "2", "--ignore", IMAGES, "--out", out)
    player = ("play", tmp_path / "spoiled", "--loop", "--wait", "1")
    ros_process(CLI, *player, ready="playing")
    doctor = ros_process(CLI, "doctor", "--live", *options, ready="watching")
    assert doctor.wait(180) == 1
    values = json.loads((out / "doctor.json").read_text(encoding="utf-8"))
    assert values["live"]
    errors = {(f["check"], f["camera"]) for f in values["findings"] if f["severity"] == "error"}
    assert errors == {("camera-info", "left"), ("cameras", "rear")}
    assert values["cameras"]["front"]["images"] > 5
    (silent,) = (f for f in values["findings"] if f["camera"] == "rear")
    assert "although /bev_player publishes it" in silent["seen"]


def test_silence_is_an_error_and_not_a_crash(ros_environment: Any, client: Any) -> None:
    observer = TopicObserver(client.node, TopicSelection(), 0.1, patience_s=0.1)
    wait_for(lambda: observer.finished, what="the end of watching")
    (found,) = examine(observer.observation(), CHECKS).findings
    assert (found.check, found.severity) == ("cameras", Severity.ERROR)
    assert "no camera topics" in found.seen


def test_watching_in_simulation_time_begins_with_clock(ros_environment: Any, client: Any) -> None:
    watcher = Client(
        ros_environment, "watcher", parameter_overrides=[Parameter("use_sim_time", value=True)]
    )
    try:
        statics = client.publisher("/tf_static", TFMessage, STATIC_QOS)
        clock = client.publisher("/clock", Clock)
        mount = TransformStamped(child_frame_id="front_optical_frame")
        mount.header.frame_id = "base_link"
        statics.publish(TFMessage(transforms=[mount]))
        observer = TopicObserver(watcher.node, TopicSelection(), 60.0)
        wait_for(lambda: observer.received, what="the mounting, before any time")

        def has_time() -> bool:
            clock.publish(Clock(clock=Time(sec=100)))
            return observer.received >= 5

        wait_for(has_time, what="messages with /clock")
        seen = observer.observation()
    finally:
        watcher.close()
    assert seen.log_range_ns == (100 * SECOND, 100 * SECOND)
    assert "front_optical_frame" in seen.tree.frames


def test_two_publishers_of_a_transform_are_named(ros_environment: Any, client: Any) -> None:
    observer = TopicObserver(client.node, TopicSelection(), 60.0)
    senders = [Client(ros_environment, name) for name in ("odometry", "visual_odometry")]
    publishers = [sender.publisher("/tf", TFMessage) for sender in senders]
    try:
        for publisher, sender in zip(publishers, senders):
            sender.wait_matched(publisher)
        for second in range(5):
            for number, publisher in enumerate(publishers):
                entry = TransformStamped(child_frame_id="base_link")
                entry.header.frame_id, entry.header.stamp.sec = "odom", second
                entry.transform.translation.x = 2.0 * number
                publisher.publish(TFMessage(transforms=[entry]))
        wait_for(lambda: observer.received >= 10, what=lambda: f"10, {observer.received} came")
        found = examine(observer.observation(), RECORDING_CHECKS).findings
    finally:
        for sender in senders:
            sender.close()
    (told,) = (each for each in found if each.check == "tf-publishers")
    assert "5 stamps come twice with other values, up to 2.00 m" in told.seen
    assert "on /tf publish /odometry, /visual_odometry" in told.seen
