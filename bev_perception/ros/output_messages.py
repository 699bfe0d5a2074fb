# SPDX-License-Identifier: Apache-2.0
"""What perception says about one moment, as messages.

Every value comes from the function that bags write with, so a recording of the live topics
and a bag of ``bev run`` hold the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

from bev_perception.bags.markers import ADD, CUBE, DELETE_ALL, marker_color, object_text
from bev_perception.bags.occupancy_grids import occupancy_values, probability_values
from bev_perception.bags.point_clouds import CENTER_FIELDS, center_table, described_fields
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox
from bev_perception.ros.stamps import header_message, time_message


def occupancy_grid_message(output: BevOutput, frame_id: str, threshold: float) -> OccupancyGrid:
    """0 free, 100 where probability reaches the threshold, -1 unknown."""
    return _grid(output.stamp_ns, frame_id, output.grid, occupancy_values(output, threshold))


def probability_grid_message(output: BevOutput, frame_id: str) -> OccupancyGrid:
    """Probability in percent, -1 unknown."""
    return _grid(output.stamp_ns, frame_id, output.grid, probability_values(output))


def centers_message(output: BevOutput, frame_id: str) -> PointCloud2:
    """One point per object: x, y, z, score, id, vx, vy in tilted base_link."""
    table = center_table(output.base_objects)
    message = PointCloud2()
    message.header = header_message(output.stamp_ns, frame_id)
    message.height, message.width = 1, len(table)
    message.fields = _CENTER_FIELDS
    message.point_step = table.itemsize
    message.row_step = table.nbytes
    message.data = array("B", table.tobytes())
    message.is_dense = True
    return message


def detections_message(output: BevOutput, frame_id: str) -> Detection3DArray:
    """One detection per object in tilted base_link; ``id`` is the track's number."""
    header = header_message(output.stamp_ns, frame_id)
    message = Detection3DArray(header=header)
    for box, pose in zip(output.base_objects, _poses(output.base_objects)):
        detection = Detection3D()
        detection.header = header
        detection.bbox.center = pose
        detection.bbox.size = _size(box)
        detection.id = str(box.object_id)
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id = box.label
        result.hypothesis.score = float(box.score)
        result.pose.pose = pose
        detection.results = [result]
        message.detections.append(detection)
    return message


def markers_message(stamp_ns: int, frame_id: str, boxes: Sequence[ObjectBox]) -> MarkerArray:
    """DELETEALL, then one cube per box in frame_id."""
    header = header_message(stamp_ns, frame_id)
    clear = Marker(header=header, type=CUBE, action=DELETE_ALL)
    clear.pose.orientation.w = 1.0
    clear.scale = Vector3(x=1.0, y=1.0, z=1.0)
    message = MarkerArray(markers=[clear])
    for box, pose in zip(boxes, _poses(boxes)):
        red, green, blue, alpha = marker_color(box.label)
        marker = Marker()
        marker.header = header
        marker.ns = box.label
        marker.id = int(box.object_id)
        marker.type, marker.action = CUBE, ADD
        marker.pose = pose
        marker.scale = _size(box)
        marker.color = ColorRGBA(r=red, g=green, b=blue, a=alpha)
        marker.text = object_text(box)
        message.markers.append(marker)
    return message


_CENTER_FIELDS = [
    PointField(name=name, offset=offset, datatype=datatype, count=count)
    for name, offset, datatype, count in described_fields(CENTER_FIELDS)
]


def _grid(stamp_ns: int, frame_id: str, grid: BevGrid, values: NDArray[np.int8]) -> OccupancyGrid:
    message = OccupancyGrid()
    message.header = header_message(stamp_ns, frame_id)
    info = message.info
    info.map_load_time = time_message(stamp_ns)
    info.resolution = float(grid.resolution)
    info.width, info.height = grid.num_x, grid.num_y
    info.origin.position = Point(x=float(grid.x_min), y=float(grid.y_min), z=0.0)
    message.data = array("b", values.tobytes())
    return message


def _poses(boxes: Sequence[ObjectBox]) -> list[Pose]:
    poses = []
    for box in boxes:
        x, y, z = box.center.tolist()
        qx, qy, qz, qw = box.pose.quaternion.tolist()
        poses.append(
            Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
        )
    return poses


def _size(box: ObjectBox) -> Vector3:
    x, y, z = box.size.tolist()
    return Vector3(x=x, y=y, z=z)
