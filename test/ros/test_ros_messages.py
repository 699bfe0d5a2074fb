# SPDX-License-Identifier: Apache-2.0
"""Live messages of perception's output hold what bags of ``bev run`` hold, field by field."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 is not installed: make ros")

from object_topics import detections_message, markers_message
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.highlevel import AnyReader
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from bev_perception.bags import BagWriter
from bev_perception.bags.markers import boxes_from_markers
from bev_perception.bags.object_messages import boxes_from_detections
from bev_perception.bags.occupancy_grids import grid_from_message
from bev_perception.bags.typestore import bag_typestore
from bev_perception.geometry import (
    OBJECT_CLASSES,
    BevGrid,
    BevOutput,
    ObjectBox,
    PinholeCamera,
    RigidTransform,
)
from bev_perception.geometry.transform import quaternions
from bev_perception.ros.image_messages import camera_info_message, image_message
from bev_perception.ros.object_messages import serialized_detections, serialized_markers
from bev_perception.ros.output_messages import (
    centers_message,
    occupancy_grid_message,
    probability_grid_message,
)
from bev_perception.ros.stamps import header_message, stamp_ns, time_message
from bev_perception.ros.transform_messages import odometry_message, transforms_message

STAMP_NS = 1_700_000_000_123_456_789
FRAME = "base_link"
THRESHOLD = 0.4


def output_of(seed: int, count: int, rows: int = 6, columns: int = 9) -> BevOutput:
    """A tilted vehicle's output with count objects of all classes, NaN among the velocities."""
    rng = np.random.default_rng(seed)
    boxes = []
    for index in range(count):
        velocity = rng.normal(size=3) if index % 3 else np.full(3, np.nan)
        boxes.append(
            ObjectBox(
                label=OBJECT_CLASSES[index % len(OBJECT_CLASSES)],
                object_id=int(rng.integers(0, 2**31)),
                pose=RigidTransform.from_euler(*rng.uniform(-3, 3, 3), rng.uniform(-40, 40, 3)),
                size=rng.uniform(0.3, 12.0, 3),
                velocity=velocity,
                score=float(rng.uniform()),
            )
        )
    grid = BevGrid(-1.75, -1.5, 0.5, columns, rows)
    probability = rng.random(grid.shape, dtype=np.float32)
    return BevOutput(
        stamp_ns=STAMP_NS,
        grid=grid,
        probability=probability,
        unknown=rng.random(grid.shape) < 0.3,
        center=probability,
        offset=np.stack([probability, probability]),
        objects=tuple(boxes),
        level_T_base=RigidTransform.from_euler(roll=0.03, pitch=-0.02),
    )


def messages_of(output: BevOutput) -> dict[str, Any]:
    """What the node publishes, by the topics of bags."""
    return {
        "/bev/occupancy_grid": occupancy_grid_message(output, FRAME, THRESHOLD),
        "/bev/probability_grid": probability_grid_message(output, FRAME),
        "/bev/centers": centers_message(output, FRAME),
        "/bev/markers": markers_message(output.stamp_ns, FRAME, output.base_objects),
    }


def over_the_wire(message: Any, kind: type | None = None) -> Any:
    """The message, or bytes of a kind of message, as a reader of a recording finds it."""
    data = message if kind else serialize_message(message)
    kind = kind or type(message)
    package, part, _ = kind.__module__.split(".", 2)
    return bag_typestore().deserialize_cdr(data, f"{package}/{part}/{kind.__name__}")


def plain(value: Any) -> Any:
    """Nested dicts and lists that compare exactly; NaN equals NaN."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    return repr(value)


def read_bag(path: Path) -> Iterator[tuple[str, Any]]:
    with AnyReader([path], default_typestore=bag_typestore()) as reader:
        for connection, _, raw in reader.messages():
            yield connection.topic, reader.deserialize(raw, connection.msgtype)


@pytest.mark.parametrize("count", [0, 1, 15])
def test_live_messages_are_those_of_a_bag(count: int, tmp_path: Path) -> None:
    output = output_of(seed=count, count=count)
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_output(output, THRESHOLD)
    recorded = dict(read_bag(tmp_path / "bag"))
    live = {topic: over_the_wire(message) for topic, message in messages_of(output).items()}
    assert live.keys() == recorded.keys()
    for topic, message in live.items():
        assert plain(message) == plain(recorded[topic]), topic


def test_every_field_has_the_type_that_humble_insists_on(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = [
        each for each in list(sys.modules.values()) if hasattr(each, "ros_python_check_fields")
    ]
    assert len(checked) > 20
    for module in checked:
        monkeypatch.setattr(module, "ros_python_check_fields", "1")
    output = output_of(seed=1, count=12)
    camera = PinholeCamera(64, 48, np.array([[50, 0, 31], [0, 50, 23], [0, 0, 1]]), "none", ())
    pose = RigidTransform.from_euler(yaw=1.0, translation=(1, 2, 3))
    messages = [
        *messages_of(output).values(),
        detections_message(output.stamp_ns, FRAME, output.base_objects),
        image_message(np.zeros((4, 5, 3), dtype=np.uint8), STAMP_NS, FRAME),
        camera_info_message(camera, STAMP_NS, FRAME),
        transforms_message(STAMP_NS, [("map", FRAME, pose)]),
        odometry_message(STAMP_NS, "map", FRAME, pose, (1, 0, 0), np.zeros(3)),
    ]
    for message in messages:
        rebuilt = type(message)(
            **{name: getattr(message, name) for name in message.get_fields_and_field_types()}
        )
        assert rebuilt == message


def test_array_fields_are_never_lists_or_numpy() -> None:
    """Given those, rclpy looks at every element: a thousand times slower for an image."""
    output = output_of(seed=2, count=3)
    for topic in ("/bev/occupancy_grid", "/bev/probability_grid", "/bev/centers"):
        assert isinstance(messages_of(output)[topic].data, array), topic
    image = image_message(np.zeros((4, 5, 3), dtype=np.uint8), STAMP_NS, FRAME)
    assert isinstance(image.data, array)


def test_grids_say_free_occupied_and_unknown() -> None:
    output = output_of(seed=3, count=0)
    occupancy = occupancy_grid_message(output, FRAME, THRESHOLD)
    grid, values = grid_from_message(occupancy, "/bev/occupancy_grid")
    assert grid == output.grid
    assert (values[output.unknown] == -1).all()
    seen = ~output.unknown
    np.testing.assert_array_equal(
        values[seen], np.where(output.probability[seen] >= THRESHOLD, 100, 0)
    )
    percent = np.array(probability_grid_message(output, FRAME).data).reshape(grid.shape)
    np.testing.assert_array_equal(percent[seen], np.rint(output.probability[seen] * 100))
    assert (percent[output.unknown] == -1).all()
    assert occupancy.info.origin.orientation.w == 1.0
    assert stamp_ns(occupancy.info.map_load_time) == STAMP_NS


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(0, 20))
def test_boxes_survive_markers_and_detections(seed: int, count: int) -> None:
    output = output_of(seed, count)
    boxes = output.base_objects
    markers = markers_message(output.stamp_ns, FRAME, boxes)
    detections = detections_message(output.stamp_ns, FRAME, output.base_objects)
    from_markers = boxes_from_markers(over_the_wire(markers), "/bev/markers")
    from_detections = boxes_from_detections(over_the_wire(detections), "/bev/objects")
    for found in (from_markers, from_detections):
        assert [frame for frame, _ in found] == [FRAME] * count
        for (_, box), expected in zip(found, boxes, strict=True):
            assert (box.label, box.object_id) == (expected.label, expected.object_id)
            assert box.pose.is_close(expected.pose, metres=1e-9, radians=1e-7)
            np.testing.assert_array_equal(box.size, expected.size)
            assert box.score == pytest.approx(expected.score, abs=1e-4)
    for detection, box in zip(detections.detections, boxes):
        assert detection.results[0].pose.pose == detection.bbox.center
        assert detection.header.frame_id == FRAME
        assert detection.id == str(box.object_id)


def test_what_is_serialized_here_is_what_rclpy_makes_of_it() -> None:
    """Read and written again by rclpy it holds the same values in as many bytes."""
    for count in range(6):
        boxes = output_of(seed=count, count=count).base_objects
        for kind, data in (
            (Detection3DArray, serialized_detections(STAMP_NS, FRAME, boxes)),
            (MarkerArray, serialized_markers(STAMP_NS, FRAME, boxes)),
        ):
            message = deserialize_message(data, kind)
            again = serialize_message(message)
            assert len(again) == len(data)
            assert plain(over_the_wire(message)) == plain(over_the_wire(data, kind))


def test_objects_are_published_with_the_tilt_undone() -> None:
    output = output_of(seed=7, count=2)
    base_T_level = output.level_T_base.inverse()
    center = (
        detections_message(output.stamp_ns, FRAME, output.base_objects).detections[1].bbox.center
    )
    np.testing.assert_allclose(
        [center.position.x, center.position.y, center.position.z],
        base_T_level.apply(output.objects[1].center),
        atol=1e-12,
    )


@settings(max_examples=100, deadline=None)
@given(stamp=st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_survive(stamp: int) -> None:
    assert stamp_ns(time_message(stamp)) == stamp
    assert stamp_ns(over_the_wire(header_message(stamp, FRAME)).stamp) == stamp


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(0, 8))
def test_quaternions_of_many_are_those_of_each(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    poses = [RigidTransform.from_euler(*rng.uniform(-4, 4, 3)) for _ in range(count)]
    expected = np.array([pose.quaternion for pose in poses]).reshape(count, 4)
    np.testing.assert_array_equal(quaternions(poses), expected)
