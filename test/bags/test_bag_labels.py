# SPDX-License-Identifier: Apache-2.0
"""Labels of every message type, in every frame, at every time."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bev_perception.bags import BagReader, object_class
from bev_perception.bags.headers import make_header
from bev_perception.bags.markers import boxes_from_markers, boxes_to_markers
from bev_perception.bags.object_messages import boxes_from_objects
from bev_perception.bags.poses import make_vector, pose_to_message, transforms_to_message
from bev_perception.bags.typestore import (
    DETECTIONS,
    MARKER_ARRAY,
    OBJECT_ARRAY,
    TF,
    message_class,
)
from bev_perception.datasets.velocity_targets import make_velocity_targets
from bev_perception.errors import BagError
from bev_perception.evaluation.velocity_error import velocity_errors
from bev_perception.geometry import BevGrid, ObjectBox, RigidTransform
from bev_perception.geometry.usual_sizes import USUAL_SIZE

SECOND = 1_000_000_000
EGO_START = RigidTransform.from_euler(yaw=np.pi / 2, translation=(100.0, 50.0, 0.0))
EGO_END = RigidTransform.from_euler(yaw=np.pi / 2, translation=(100.0, 60.0, 0.0))
"""Drives north at 10 m/s for a second."""

WriteBag = Callable[..., Path]


def ego_tf(parent: str = "map", child: str = "base_link") -> list[tuple]:
    """/tf of the drive."""
    return [
        ("/tf", TF, stamp, transforms_to_message(stamp, [(parent, child, pose)]))
        for stamp, pose in ((SECOND, EGO_START), (2 * SECOND, EGO_END))
    ]


def pose_at(x: float, y: float, z: float = 0.75, yaw: float = 0.0) -> RigidTransform:
    return RigidTransform.from_euler(yaw=yaw, translation=(x, y, z))


def box(label: str, number: int, pose: RigidTransform, velocity=(0.0, 0.0, 0.0)) -> ObjectBox:
    return ObjectBox(label, number, pose, np.array([4.0, 2.0, 1.5]), np.array(velocity))


def detection_array(frame: str, class_id: str, identifier: str, pose: RigidTransform):
    """One vision_msgs/Detection3D with a worse second hypothesis."""
    hypothesis = message_class("vision_msgs/msg/ObjectHypothesis")
    scored = message_class("vision_msgs/msg/ObjectHypothesisWithPose")
    covariance = message_class("geometry_msgs/msg/PoseWithCovariance")(
        pose_to_message(pose), np.zeros(36)
    )
    bbox = message_class("vision_msgs/msg/BoundingBox3D")(
        pose_to_message(pose), make_vector((4.0, 2.0, 1.5))
    )
    detection = message_class("vision_msgs/msg/Detection3D")(
        make_header(SECOND, ""),
        [
            scored(hypothesis("bus", 0.1), covariance),
            scored(hypothesis(class_id, 0.8), covariance),
        ],
        bbox,
        identifier,
    )
    return message_class(DETECTIONS)(make_header(SECOND, frame), [detection])


def object_array(objects: list[tuple[int, int, RigidTransform]]):
    """derived_object_msgs/ObjectArray of (id, classification, pose) in map."""
    zero = make_vector((0.0, 0.0, 0.0))
    geometry = "geometry_msgs/msg/"
    items = [
        message_class("derived_object_msgs/msg/Object")(
            make_header(SECOND, "map"),
            number,
            0,
            True,
            pose_to_message(pose),
            message_class(geometry + "Twist")(make_vector((0.0, 3.0, 0.0)), zero),
            message_class(geometry + "Accel")(zero, zero),
            message_class(geometry + "Polygon")([]),
            message_class("shape_msgs/msg/SolidPrimitive")(
                1, np.array([4.0, 2.0, 1.5]), message_class(geometry + "Polygon")([])
            ),
            classification,
            255,
            1,
        )
        for number, classification, pose in objects
    ]
    return message_class(OBJECT_ARRAY)(make_header(SECOND, "map"), items)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_markers_in_map_are_given_in_base_link_at_their_stamp(
    raw_bag: WriteBag, storage: str
) -> None:
    markers = boxes_to_markers(SECOND, "map", [box("car", 1, pose_at(100.0, 70.0), (1.0, 0, 0))])
    path = raw_bag([*ego_tf(), ("/ground_truth/objects", MARKER_ARRAY, SECOND, markers)], storage)
    with BagReader(path) as reader:
        (car,) = reader.objects(SECOND) or ()
    np.testing.assert_allclose(car.center, (20.0, 0.0, 0.75), atol=1e-9)  # straight ahead
    np.testing.assert_allclose(car.velocity, (0.0, -1.0, 0.0), atol=1e-9)  # east is right
    assert car.pose.yaw == pytest.approx(-np.pi / 2)


def test_labels_are_moved_to_the_time_asked_for(raw_bag: WriteBag) -> None:
    parked = box("car", 1, pose_at(20.0, 0.0))
    ahead = box("car", 2, pose_at(30.0, 3.0), (10.0, 0.0, 0.0))
    markers = boxes_to_markers(SECOND, "base_link", [parked, ahead])
    path = raw_bag([*ego_tf(), ("/ground_truth/objects", MARKER_ARRAY, SECOND, markers)])
    with BagReader(path) as reader:
        moved = reader.objects(SECOND + SECOND // 10, tolerance_ns=SECOND)
        assert reader.objects(SECOND + SECOND // 10) is None  # beyond the usual tolerance
    assert moved is not None
    np.testing.assert_allclose(moved[0].center, (19.0, 0.0, 0.75), atol=1e-6)
    np.testing.assert_allclose(moved[1].center, (30.0, 3.0, 0.75), atol=1e-6)


def test_labels_at_a_time_without_pose_are_none_but_a_missing_link_is_an_error(
    raw_bag: WriteBag,
) -> None:
    early = boxes_to_markers(SECOND // 2, "map", [box("car", 1, pose_at(0.0, 9.0))])
    path = raw_bag([("/gt/objects", MARKER_ARRAY, SECOND // 2, early), *ego_tf()], name="early")
    with BagReader(path) as reader:
        assert reader.objects(SECOND // 2) is None
    lost = boxes_to_markers(SECOND, "lidar", [box("car", 1, pose_at(0.0, 9.0))])
    path = raw_bag([("/gt/objects", MARKER_ARRAY, SECOND, lost), *ego_tf()], name="lost")
    with (
        BagReader(path) as reader,
        pytest.raises(BagError, match=r"/gt/objects.*'lidar'.*base_link"),
    ):
        reader.objects(SECOND)


def test_marker_actions_apply_in_order() -> None:
    old = boxes_to_markers(1, "base_link", [box("car", 1, pose_at(9.0, 0.0))]).markers
    new = boxes_to_markers(
        1, "base_link", [box("car", 2, pose_at(9.0, 0.0)), box("bus", 2, pose_at(8.0, 0.0))]
    ).markers
    delete = boxes_to_markers(1, "base_link", [box("car", 2, pose_at(9.0, 0.0))]).markers[1]
    delete.action = 2
    text = boxes_to_markers(1, "base_link", [box("car", 5, pose_at(9.0, 0.0))]).markers[1]
    text.type = 9
    message = message_class(MARKER_ARRAY)([*old, *new, delete, text])
    (survivor,) = boxes_from_markers(message, "/t")
    assert (survivor[1].label, survivor[1].object_id) == ("bus", 2)


def test_an_empty_array_means_no_objects_not_no_labels(raw_bag: WriteBag) -> None:
    empty = message_class(MARKER_ARRAY)([])
    path = raw_bag([*ego_tf(), ("/ground_truth/objects", MARKER_ARRAY, SECOND, empty)])
    with BagReader(path) as reader:
        assert reader.objects(SECOND) == ()


def test_a_marker_without_size_names_topic_and_marker(raw_bag: WriteBag) -> None:
    markers = boxes_to_markers(SECOND, "base_link", [box("car", 42, pose_at(9.0, 0.0))])
    markers.markers[1].scale.y = 0.0
    path = raw_bag([*ego_tf(), ("/ground_truth/objects", MARKER_ARRAY, SECOND, markers)])
    with (
        BagReader(path) as reader,
        pytest.raises(BagError, match=r"objects: marker 'car' 42: .*0\.0"),
    ):
        reader.objects(SECOND)


@pytest.mark.parametrize(
    ("identifier", "number"),
    [("17", 17), ("track-a", None), ("", 0), (str(2**63 - 1), 2**63 - 1), (str(2**63), None)],
)
def test_detections_give_their_best_class(
    raw_bag: WriteBag, identifier: str, number: int | None
) -> None:
    message = detection_array("map", "vehicle.truck", identifier, pose_at(100.0, 70.0))
    path = raw_bag([*ego_tf(), ("/labels/boxes", DETECTIONS, SECOND, message)])
    with BagReader(path) as reader:
        (truck,) = reader.objects(SECOND) or ()
    assert (truck.label, truck.score) == ("truck", 0.8)
    np.testing.assert_allclose(truck.center, (20.0, 0.0, 0.75), atol=1e-9)
    assert truck.object_id == (
        zlib.crc32(identifier.encode()) % 2**31 if number is None else number
    )


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("", None),
        ("lidar_points=12 visibility=0.5000", None),
        ("vx=3.0", None),
        ("vx=nan vy=nan vz=nan", None),
        ("vx=3 vy=-1", (3.0, -1.0, 0.0)),
        ("vx=0.0000 vy=0.0000 vz=0.0000", (0.0, 0.0, 0.0)),
    ],
)
def test_a_velocity_that_markers_do_not_tell_is_unknown_and_stays_it_when_written_again(
    raw_bag: WriteBag, text: str, known: tuple[float, ...] | None
) -> None:
    foreign = boxes_to_markers(SECOND, "map", [box("car", 1, pose_at(100.0, 70.0))])
    foreign.markers[1].text = text
    ((_, first),) = boxes_from_markers(foreign, "/t")
    again = boxes_to_markers(SECOND, "map", [first])
    for name, message in (("foreign", foreign), ("again", again)):
        labels = ("/ground_truth/objects", MARKER_ARRAY, SECOND, message)
        with BagReader(raw_bag([*ego_tf(), labels], name=name)) as reader:
            (car,) = reader.objects(SECOND + SECOND // 50) or ()
        if known is None:
            assert np.isnan(car.velocity).all()
            np.testing.assert_allclose(car.center, (19.8, 0.0, 0.75), atol=1e-6)  # at rest, so far
        else:
            np.testing.assert_allclose(EGO_END.rotate(car.velocity), known, atol=1e-9)


def test_detections_do_not_tell_velocities_so_nothing_is_learned_or_judged_by_them(
    raw_bag: WriteBag,
) -> None:
    message = detection_array("base_link", "car", "17", pose_at(10.0, 2.0))
    path = raw_bag([*ego_tf(), ("/labels/boxes", DETECTIONS, SECOND, message)])
    with BagReader(path) as reader:
        (car,) = reader.objects(SECOND) or ()
    assert np.isnan(car.velocity).all()
    found = box("car", 3, pose_at(10.0, 2.0), (10.0, 0.0, 0.0))
    assert velocity_errors([found], [car], [True], 1.5).objects == 0
    _, is_known = make_velocity_targets([car], BevGrid.centered(20.0, 0.5))
    assert not is_known.any()


def test_carla_objects_stand_on_the_ground_and_leave_the_ego_vehicle_out(
    raw_bag: WriteBag,
) -> None:
    message = object_array(
        [
            (1, 6, pose_at(100.0, 50.0, 0.0)),
            (2, 6, pose_at(100.0, 70.0, 0.0)),
            (3, 4, pose_at(98.0, 60.0, 0.9)),
        ]
    )
    path = raw_bag(
        [*ego_tf(child="ego_vehicle"), ("/carla/objects", OBJECT_ARRAY, SECOND, message)]
    )
    with BagReader(path) as reader:
        assert reader.base_frame == "ego_vehicle"
        car, walker = reader.objects(SECOND) or ()
    assert (car.label, car.object_id, walker.label) == ("car", 2, "pedestrian")
    np.testing.assert_allclose(car.center, (20.0, 0.0, 0.75), atol=1e-9)
    np.testing.assert_allclose(car.velocity, (3.0, 0.0, 0.0), atol=1e-9)
    np.testing.assert_allclose(walker.center, (10.0, 2.0, 0.9), atol=1e-9)


@pytest.mark.parametrize("size", [(0.0, 0.0, 0.0), (250.0, 0.8, 1.6), (np.inf, 0.8, 1.6)])
def test_impossible_boxes_of_carlas_two_wheelers_get_a_usual_size(
    size: tuple[float, float, float],
) -> None:
    message = object_array([(7, 8, pose_at(100.0, 70.0, 0.0))])
    message.objects[0].shape.dimensions = np.array(size)
    ((_, box),) = boxes_from_objects(message, "/carla/objects")
    np.testing.assert_allclose(box.size, USUAL_SIZE["motorcycle"])
    assert box.center[2] == pytest.approx(box.size[2] / 2.0)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("car", "car"),
        ("vehicle.bus.bendy", "bus"),
        ("vehicle.construction", "construction_vehicle"),
        ("human.pedestrian.construction_worker", "pedestrian"),
        ("movable_object.trafficcone", "traffic_cone"),
        ("Traffic Cone", "traffic_cone"),
        ("person", "pedestrian"),
        ("motorbike", "motorcycle"),
        ("vehicle.audi.tt", "car"),
        ("vehicle.harley-davidson.low_rider", "motorcycle"),
        ("walker.pedestrian.0012", "pedestrian"),
        ("vehicle.mitsubishi.fusorosa", "bus"),
        ("traffic light", "unknown"),
        ("", "unknown"),
    ],
)
def test_foreign_class_names_are_mapped(name: str, label: str) -> None:
    assert object_class(name) == label
