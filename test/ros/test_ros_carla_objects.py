# SPDX-License-Identifier: Apache-2.0
"""The objects of carla_ros_bridge come on /ground_truth/objects; a lack of them is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from bev_perception.geometry import Rig, RigidTransform

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("derived_object_msgs", reason="derived_object_msgs is not installed")
pytest.importorskip("moderngl", reason="the town needs moderngl")

from adapted_cameras import Ticks, adapter, foreign, images, rig, rig_file, ticks
from carla_publishers import ForeignCameras
from derived_object_msgs.msg import Object, ObjectArray
from rclpy.serialization import deserialize_message
from visualization_msgs.msg import MarkerArray

from bev_perception.bags.markers import boxes_from_markers
from bev_perception.ros import carla_objects
from bev_perception.ros.stamps import header_message, stamp_ns
from bev_perception.ros.transform_messages import pose_message

__all__ = ["adapter", "foreign", "images", "rig", "rig_file", "ticks"]
MAP_T_BASE = RigidTransform.from_euler(0.0, 0.0, 0.7, (40.0, -7.0, 0.5))
MAP_T_CAR = RigidTransform.from_euler(0.0, 0.0, 1.1, (50.0, -3.0, 0.5))
"""Of the actor's origin, which is on the ground."""


def objects(stamp: int, pose: RigidTransform = MAP_T_CAR, number: int = 88) -> ObjectArray:
    """A car of 4 x 2 x 1.5 m that drives north, as the bridge's ObjectSensor tells it."""
    header = header_message(stamp, "map")
    item = Object(header=header, id=number, classification=Object.CLASSIFICATION_CAR)
    item.pose, item.shape.type, item.shape.dimensions = pose_message(pose), 1, [4.0, 2.0, 1.5]
    item.twist.linear.y = 3.0
    return ObjectArray(header=header, objects=[item])


class QuietNode:
    """What CarlaObjects asks of a node; messages are handed to its callbacks by hand."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.published: list[MarkerArray] = []
        self.callbacks: dict[str, Callable[[Any], None]] = {}

    def get_logger(self) -> QuietNode:
        return self

    def info(self, text: str) -> None:
        pass

    def warning(self, text: str, **_: Any) -> None:
        self.warnings.append(text)

    def create_publisher(self, kind: type, topic: str, depth: int) -> QuietNode:
        assert (kind, topic) == (MarkerArray, "/ground_truth/objects")
        return self

    def create_subscription(self, kind: type, topic: str, callback: Any, depth: int) -> None:
        assert kind is ObjectArray
        self.callbacks[topic] = callback

    def publish(self, message: bytes) -> None:
        self.published.append(deserialize_message(message, MarkerArray))

    def centres(self) -> list[float]:
        """x of every box so far."""
        return [box.center[0] for m in self.published for _, box in boxes_from_markers(m, "")]


def opened(topics: Sequence[str]) -> tuple[QuietNode, carla_objects.CarlaObjects]:
    node = QuietNode()
    made = carla_objects.CarlaObjects(node, topics)
    made.open()
    return node, made


def test_the_bridges_objects_are_ground_truth_where_they_really_are(
    adapter: Callable[..., Any],
    foreign: Callable[..., ForeignCameras],
    ticks: Ticks,
    client: Any,
    rig: Rig,
) -> None:
    heard = client.collect("/ground_truth/objects", MarkerArray)
    cameras = foreign("ego_vehicle", prefix="ego_vehicle/")
    node = adapter("ros_bridge")

    def publish(stamp: int) -> None:
        cameras.publish(stamp, MAP_T_BASE)
        client.publish("/carla/ego_vehicle/objects", objects(stamp))

    ticks.until(lambda: len(heard) > 1, publish, "ground truth")
    ((frame, car),) = boxes_from_markers(heard[-1], "/ground_truth/objects")
    assert (frame, car.label, car.object_id) == ("map", "car", 88)
    np.testing.assert_allclose(car.center, (50.0, -3.0, 0.5 + 1.5 / 2.0), atol=1e-6)
    np.testing.assert_allclose(car.size, (4.0, 2.0, 1.5))
    np.testing.assert_allclose(car.velocity, (0.0, 3.0, 0.0), atol=1e-4)
    assert car.pose.yaw == pytest.approx(1.1)
    node.wait_for_log("objects of /carla/ego_vehicle/objects become /ground_truth/objects")
    assert node.stop() == 0


def test_native_says_at_once_that_its_bags_have_no_labels(adapter: Callable[..., Any]) -> None:
    node = adapter("native")
    node.wait_for_log("this source publishes no objects: bags recorded now have no labels")
    assert node.stop() == 0


def test_objects_of_the_vehicle_win_over_those_of_the_world() -> None:
    node, _ = opened(("/carla/hero/objects", "/carla/objects"))
    near, far = (RigidTransform.from_euler(translation=(x, 0.0, 0.0)) for x in (10.0, 20.0))
    node.callbacks["/carla/objects"](objects(1, far))
    node.callbacks["/carla/hero/objects"](objects(2, near))
    node.callbacks["/carla/objects"](objects(3, far))
    assert node.centres() == [20.0, 10.0]
    assert stamp_ns(node.published[-1].markers[0].header.stamp) == 2


def test_objects_before_the_cameras_are_checked_are_none() -> None:
    node = QuietNode()
    made = carla_objects.CarlaObjects(node, ("/carla/objects",))
    node.callbacks["/carla/objects"](objects(1))
    assert node.published == []
    made.open()
    node.callbacks["/carla/objects"](objects(2))
    assert len(node.published) == 1


def test_that_none_come_is_told_once_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carla_objects, "PATIENCE_S", -1.0)
    node, made = opened(("/carla/hero/objects", "/carla/objects"))
    made.look()
    made.look()
    (warning,) = node.warnings
    assert "no objects on /carla/hero/objects or /carla/objects: bags recorded now" in warning
    assert "sensor.pseudo.objects" in warning


def test_a_missing_message_package_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "derived_object_msgs.msg", None)
    node, _ = opened(("/carla/objects",))
    assert "install or source the package derived_object_msgs" in node.warnings[0]
