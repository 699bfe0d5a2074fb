# SPDX-License-Identifier: Apache-2.0
"""ROS 2 bags in and out: messages to plain types and back, through rosbags."""

from bev_perception.bags.bag_reader import BagReader
from bev_perception.bags.bag_writer import BagWriter
from bev_perception.bags.camera_sanity import CameraSummary
from bev_perception.bags.discovery import CameraTopics
from bev_perception.bags.summary import BagSummary, TopicSummary
from bev_perception.geometry.class_names import object_class

__all__ = [
    "BagReader",
    "BagSummary",
    "BagWriter",
    "CameraSummary",
    "CameraTopics",
    "TopicSummary",
    "object_class",
]
