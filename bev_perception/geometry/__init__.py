# SPDX-License-Identifier: Apache-2.0
"""Frames, transforms, cameras, the BEV grid and boxes. Plain NumPy: no torch, no ROS."""

from bev_perception.geometry.boxes import OBJECT_CLASSES, VEHICLE_CLASSES, ObjectBox
from bev_perception.geometry.camera import PinholeCamera
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.output import BevOutput, CameraHealth
from bev_perception.geometry.rig import CameraFrame, FrameSet, Rig, RigCamera
from bev_perception.geometry.rig_file import RigFile, RigFileCamera, load_rig, load_rig_file
from bev_perception.geometry.transform import RigidTransform
from bev_perception.geometry.transform_tree import TransformTree

__all__ = [
    "OBJECT_CLASSES",
    "VEHICLE_CLASSES",
    "BevGrid",
    "BevOutput",
    "CameraFrame",
    "CameraHealth",
    "FrameSet",
    "ObjectBox",
    "PinholeCamera",
    "Rig",
    "RigCamera",
    "RigFile",
    "RigFileCamera",
    "RigidTransform",
    "TransformTree",
    "load_rig",
    "load_rig_file",
]
