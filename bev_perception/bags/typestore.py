# SPDX-License-Identifier: Apache-2.0
"""The message types that bags are read and written with."""

from __future__ import annotations

from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from bev_perception.errors import BagError

TF = "tf2_msgs/msg/TFMessage"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
ODOMETRY = "nav_msgs/msg/Odometry"
IMU = "sensor_msgs/msg/Imu"
CLOCK = "rosgraph_msgs/msg/Clock"
OCCUPANCY_GRID = "nav_msgs/msg/OccupancyGrid"
MARKER_ARRAY = "visualization_msgs/msg/MarkerArray"
DETECTIONS = "vision_msgs/msg/Detection3DArray"
OBJECT_ARRAY = "derived_object_msgs/msg/ObjectArray"

_DEFINITIONS = {
    "vision_msgs/msg/BoundingBox3D": """
        geometry_msgs/Pose center
        geometry_msgs/Vector3 size
    """,
    "vision_msgs/msg/ObjectHypothesis": """
        string class_id
        float64 score
    """,
    "vision_msgs/msg/ObjectHypothesisWithPose": """
        vision_msgs/ObjectHypothesis hypothesis
        geometry_msgs/PoseWithCovariance pose
    """,
    "vision_msgs/msg/Detection3D": """
        std_msgs/Header header
        vision_msgs/ObjectHypothesisWithPose[] results
        vision_msgs/BoundingBox3D bbox
        string id
    """,
    DETECTIONS: """
        std_msgs/Header header
        vision_msgs/Detection3D[] detections
    """,
    "derived_object_msgs/msg/Object": """
        std_msgs/Header header
        uint32 id
        uint8 detection_level
        bool object_classified
        geometry_msgs/Pose pose
        geometry_msgs/Twist twist
        geometry_msgs/Accel accel
        geometry_msgs/Polygon polygon
        shape_msgs/SolidPrimitive shape
        uint8 classification
        uint8 classification_certainty
        uint32 classification_age
    """,
    OBJECT_ARRAY: """
        std_msgs/Header header
        derived_object_msgs/Object[] objects
    """,
}
"""Fields of types outside the ROS 2 core, for bags that do not embed their definitions."""


@cache
def bag_typestore() -> Typestore:
    """ROS 2 Jazzy's types with vision_msgs and derived_object_msgs beside them."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, fields in _DEFINITIONS.items():
        store.register(get_types_from_msg(fields, name))
    return store


def message_class(name: str) -> Any:
    """The class of a message type, for example ``std_msgs/msg/Header``."""
    return bag_typestore().types[name]


def decode_message(msgtype: str, raw: bytes, topic: str) -> Any:
    """A serialized message of a type known here, as bags give it.

    Raises:
        BagError: the bytes do not fit the type.
    """
    try:
        return bag_typestore().deserialize_cdr(raw, msgtype)
    except Exception as error:  # generated decoders raise anything on damaged bytes
        raise BagError(
            f"a message of {len(raw)} bytes on {topic} is no {msgtype} "
            f"({type(error).__name__}: {error}); its sender is of another version"
        ) from error
