# SPDX-License-Identifier: Apache-2.0
"""Tiny runs over white boxes on a grey world, drawn by projection."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch.nn.utils import parameters_to_vector

from bev_perception.bags import BagWriter
from bev_perception.geometry import (
    BevGrid,
    CameraFrame,
    FrameSet,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.model import Segnet, SegnetConfig, load_weights
from bev_perception.training import DataConfig, TrainConfig

MODEL = SegnetConfig(
    "light", (32, 48), (0.0, 1.0), BevGrid.centered(12.0, 0.75), 8, (8, 8, 8), (8, 8, 8), False
)
WORLD_T_BASE = RigidTransform.from_euler(0.01, -0.02, 1.0, (5.0, 6.0, 0.0))


def a_rig():
    camera = PinholeCamera.from_field_of_view(96, 64, 110.0)
    return Rig(
        {
            name: RigCamera(
                camera,
                RigidTransform.from_euler(0, 0.15, np.radians(yaw), (0.3, 0.0, 1.8))
                @ BODY_T_OPTICAL,
                f"{name}_optical_frame",
            )
            for name, yaw in {"front": 0, "rear": 180}.items()
        }
    )


def write_bag(path, num_sets, seed, labelled=True, dark=False, lidar=False):
    """White boxes on a grey world, drawn by projection; in the dark nobody sees them."""
    random, rig = np.random.default_rng(seed), a_rig()
    with BagWriter(path) as writer:
        writer.write_rig(rig, 10**9)
        for number in range(num_sets):
            stamp = 10**9 + number * 10**8
            boxes = tuple(
                ObjectBox(
                    "car",
                    index,
                    RigidTransform.from_euler(
                        yaw=random.uniform(-3, 3),
                        translation=(side * random.uniform(5, 9), random.uniform(-4, 4), 0.8),
                    ),
                    np.array([4.4, 1.8, 1.6]),
                    visibility=1.0,
                )
                for index, side in enumerate((1, -1))
            )
            frames = {}
            for name in rig.names:
                image = random.integers(60, 90, (64, 96, 3), dtype=np.uint8)
                for box in boxes:
                    pixels, valid = rig[name].project(box.corners)
                    if valid.all() and not dark:
                        hull = cv2.convexHull(pixels.round().astype(np.int32))
                        cv2.fillConvexPoly(image, hull, (240, 240, 240))
                frames[name] = CameraFrame(name, stamp, image)
            writer.write_frame_set(FrameSet(stamp, frames, (), WORLD_T_BASE), rig)
            if labelled:
                writer.write_objects(stamp, boxes)
            if lidar:
                writer.write_points(stamp, points_on(boxes, number))
    return path


def points_on(boxes, seed):
    """(N, 3) points on the boxes' sides, in base_link, and on level ground around them."""
    random = np.random.default_rng(seed)
    clouds = [random.uniform((-12, -12, 0), (12, 12, 0), (200, 3))]
    for box in boxes:
        local = random.uniform(-0.5, 0.5, (80, 3))
        side = random.integers(0, 2, 80)
        local[np.arange(80), side] = np.sign(local[np.arange(80), side]) / 2.0
        clouds.append(box.pose.apply(local * box.size))
    return np.concatenate(clouds)


def a_config(out, bags, cache, **changes):
    data = DataConfig(
        train=(bags[0],), validation=(bags[1],), cache_dir=cache, extraction_processes=1
    )
    values = {"max_steps": 6, "validate_every": 3, "checkpoint_every": 3, "batch_size": 2}
    values.update(changes)
    values.setdefault("model", MODEL)
    return TrainConfig(out=out, data=data, accelerator="cpu", precision="fp32", **values)


def tensors(path):
    return load_weights(path)[0].state_dict()


def way_apart(path, other_path, seed):
    """Distance between two trained weights as a share of the way from their common start.

    Small differences of rounding grow in Adam's steps, so weights are compared as a whole.
    """
    torch.manual_seed(seed)
    start = parameters_to_vector(Segnet(MODEL).parameters())
    one, other = (parameters_to_vector(load_weights(p)[0].parameters()) for p in (path, other_path))
    return ((one - other).norm() / (one - start).norm()).item()
