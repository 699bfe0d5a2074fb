# SPDX-License-Identifier: Apache-2.0
"""What perception says about one moment, as messages.

Every value comes from the function that bags are written with, so a recording of the live
topics and a bag of ``bev run`` hold the same.

Messages of a list are copies of one model and share with it, and with each other, what does
not differ. They are made to be published; whoever wants to edit one makes a deep copy first.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, Vector3
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import (
    BoundingBox3D,
    Detection3D,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)
from visualization_msgs.msg import Marker, MarkerArray

from bev_perception.bags.markers import ADD, CUBE, DELETE_ALL, marker_color, object_text
from bev_perception.bags.occupancy_grids import occupancy_values, probability_values
from bev_perception.bags.point_clouds import CENTER_FIELDS, center_table, described_fields
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox
from bev_perception.geometry.transform import quaternions
from bev_perception.ros.message_model import MessageModel
from bev_perception.ros.stamps import header_message, time_message

try:
    from sensor_msgs_py.point_cloud2 import create_cloud
except ImportError:
    create_cloud = None

_CENTER_FIELDS = [
    PointField(name=name, offset=offset, datatype=datatype, count=count)
    for name, offset, datatype, count in described_fields(CENTER_FIELDS)
]
_MARKER = MessageModel(
    Marker(
        type=CUBE,
        action=ADD,
        pose=Pose(orientation=Quaternion(w=1.0)),
        scale=Vector3(x=1.0, y=1.0, z=1.0),
    )
)
_POSE = MessageModel(Pose())
_DETECTION = MessageModel(Detection3D())
_HYPOTHESIS = MessageModel(ObjectHypothesisWithPose())
_BOX = MessageModel(BoundingBox3D())
_POSE_WITH_COVARIANCE = MessageModel(PoseWithCovariance())


def occupancy_grid_message(output: BevOutput, frame_id: str, threshold: float) -> OccupancyGrid:
    """0 free, 100 where probability reaches the threshold, -1 unknown."""
    return _grid(output.stamp_ns, frame_id, output.grid, occupancy_values(output, threshold))


def probability_grid_message(output: BevOutput, frame_id: str) -> OccupancyGrid:
    """Probability in percent, -1 unknown."""
    return _grid(output.stamp_ns, frame_id, output.grid, probability_values(output))


def centers_message(output: BevOutput, frame_id: str) -> PointCloud2:
    """One point per object: x, y, z, score, id, vx, vy in base_link, tilt undone."""
    header = header_message(output.stamp_ns, frame_id)
    table = center_table(output.base_objects)
    if create_cloud is None or not len(table):  # create_cloud takes no empty table
        message = _cloud(header, _CENTER_FIELDS, table)
    else:
        message = create_cloud(header, _CENTER_FIELDS, table)
    message.is_dense = True
    return message


def detections_message(
    output: BevOutput, frame_id: str, poses: Sequence[Pose] | None = None
) -> Detection3DArray:
    """One detection per object in base_link, tilt undone; ``id`` is the track's number.

    Args:
        output: of the pipeline.
        frame_id: of base_link.
        poses: box_poses of the objects in base_link, where they are known already.
    """
    header = header_message(output.stamp_ns, frame_id)
    boxes = output.base_objects
    poses = box_poses(boxes) if poses is None else poses
    detections = [_detection(header, box, pose) for box, pose in zip(boxes, poses)]
    return Detection3DArray(header=header, detections=detections)


def markers_message(
    stamp_ns: int,
    frame_id: str,
    boxes: Sequence[ObjectBox],
    poses: Sequence[Pose] | None = None,
) -> MarkerArray:
    """DELETEALL, then one cube per box, which is in frame_id; poses as for detections."""
    header = header_message(stamp_ns, frame_id)
    clear = _MARKER.copy()
    clear.header = header
    clear.action = DELETE_ALL
    poses = box_poses(boxes) if poses is None else poses
    cubes = [_cube(header, box, pose) for box, pose in zip(boxes, poses)]
    return MarkerArray(markers=[clear, *cubes])


def _cloud(header: Header, fields: list[PointField], table: NDArray[np.void]) -> PointCloud2:
    """What sensor_msgs_py's create_cloud makes of (N,) structured rows."""
    message = PointCloud2(header=header, height=1, width=len(table), fields=fields)
    message.point_step = table.itemsize
    message.row_step = table.nbytes
    message.data = array("B", table.tobytes())
    return message


def _grid(stamp_ns: int, frame_id: str, grid: BevGrid, values: NDArray[np.int8]) -> OccupancyGrid:
    message = OccupancyGrid(header=header_message(stamp_ns, frame_id))
    info = message.info
    info.map_load_time = time_message(stamp_ns)
    info.resolution = float(grid.resolution)
    info.width, info.height = grid.num_x, grid.num_y
    info.origin.position = Point(x=float(grid.x_min), y=float(grid.y_min), z=0.0)
    message.data = array("b", values.tobytes())
    return message


def _detection(header: Header, box: ObjectBox, pose: Pose) -> Detection3D:
    result = _HYPOTHESIS.copy()
    result.hypothesis = ObjectHypothesis(class_id=box.label, score=float(box.score))
    result.pose = _POSE_WITH_COVARIANCE.copy()
    result.pose.pose = pose
    detection = _DETECTION.copy()
    detection.header = header
    detection.results = [result]
    detection.bbox = _BOX.copy()
    detection.bbox.center = pose
    detection.bbox.size = _size(box)
    detection.id = str(box.object_id)
    return detection


def _cube(header: Header, box: ObjectBox, pose: Pose) -> Marker:
    marker = _MARKER.copy()
    marker.header = header
    marker.ns = box.label
    marker.id = int(box.object_id)
    marker.pose = pose
    marker.scale = _size(box)
    marker.color = _color(box.label)
    marker.text = object_text(box)
    return marker


@cache
def _color(label: str) -> ColorRGBA:
    red, green, blue, alpha = marker_color(label)
    return ColorRGBA(r=red, g=green, b=blue, a=alpha)


def box_poses(boxes: Sequence[ObjectBox]) -> list[Pose]:
    """Poses of the boxes; their quaternions together, since one alone takes as long."""
    turns = quaternions([box.pose for box in boxes]).tolist()
    return [_pose(box.center.tolist(), turn) for box, turn in zip(boxes, turns)]


def _pose(position: list[float], turn: list[float]) -> Pose:
    x, y, z = position
    message = _POSE.copy()
    message.position = Point(x=x, y=y, z=z)
    x, y, z, w = turn
    message.orientation = Quaternion(x=x, y=y, z=z, w=w)
    return message


def _size(box: ObjectBox) -> Vector3:
    x, y, z = box.size.tolist()
    return Vector3(x=x, y=y, z=z)
