# SPDX-License-Identifier: Apache-2.0
"""Frames, transforms, cameras, the BEV grid and boxes. Plain NumPy: no torch, no ROS."""

from bev_perception.geometry.boxes import OBJECT_CLASSES, VEHICLE_CLASSES, ObjectBox
from bev_perception.geometry.camera import PinholeCamera
from bev_perception.geometry.frames import (
    BODY_T_OPTICAL,
    OPTICAL_T_BODY,
    CarlaBox,
    box_from_carla,
    box_to_carla,
    levelled,
    points_from_carla,
    points_to_carla,
    pose_from_carla,
    pose_from_carla_matrix,
    pose_to_carla,
    pose_to_carla_matrix,
)
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.lidar_scan import LIDAR_FRAME, SCAN_FIELDS, LidarScan
from bev_perception.geometry.output import BevOutput, CameraHealth
from bev_perception.geometry.rasterize import cells_in_convex_polygon, rasterize_polygons
from bev_perception.geometry.rig import CameraFrame, FrameSet, Rig, RigCamera
from bev_perception.geometry.rig_file import RigFile, RigFileCamera, load_rig, load_rig_file
from bev_perception.geometry.transform import RigidTransform
from bev_perception.geometry.transform_tree import (
    DisconnectedFramesError,
    OutOfRangeError,
    TransformTree,
    UnknownFrameError,
)

__all__ = [
    "BODY_T_OPTICAL",
    "LIDAR_FRAME",
    "OBJECT_CLASSES",
    "OPTICAL_T_BODY",
    "SCAN_FIELDS",
    "VEHICLE_CLASSES",
    "BevGrid",
    "BevOutput",
    "CameraFrame",
    "CameraHealth",
    "CarlaBox",
    "DisconnectedFramesError",
    "FrameSet",
    "LidarScan",
    "ObjectBox",
    "OutOfRangeError",
    "PinholeCamera",
    "Rig",
    "RigCamera",
    "RigFile",
    "RigFileCamera",
    "RigidTransform",
    "TransformTree",
    "UnknownFrameError",
    "box_from_carla",
    "box_to_carla",
    "cells_in_convex_polygon",
    "levelled",
    "load_rig",
    "load_rig_file",
    "points_from_carla",
    "points_to_carla",
    "pose_from_carla",
    "pose_from_carla_matrix",
    "pose_to_carla",
    "pose_to_carla_matrix",
    "rasterize_polygons",
]
