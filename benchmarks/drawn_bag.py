# SPDX-License-Identifier: Apache-2.0
"""A labelled bag that needs no renderer, for benchmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from lift import ring

from bev_perception.bags import BagWriter
from bev_perception.geometry import CameraFrame, FrameSet, ObjectBox, RigidTransform
from bev_perception.model import preset

NUM_SETS = 16


def write_drawn_bag(path: Path, cameras: int, size: tuple[int, int]) -> None:
    """Boxes as white hulls on smooth noise, so that JPEG has as much to do as with photographs."""
    random = np.random.default_rng(0)
    config = replace(preset("tiny"), image_size=size)
    rig = ring(config, cameras)
    with BagWriter(path) as writer:
        writer.write_rig(rig, 10**9)
        for number in range(NUM_SETS):
            stamp = 10**9 + number * 5 * 10**8
            boxes = tuple(
                ObjectBox(
                    "car",
                    index,
                    RigidTransform.from_euler(
                        yaw=random.uniform(-3, 3),
                        translation=(*random.uniform(-30, 30, 2), 0.8),
                    ),
                    np.array([4.4, 1.8, 1.6]),
                    visibility=1.0,
                )
                for index in range(20)
            )
            frames = {}
            for name in rig.names:
                noise = random.integers(40, 200, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
                image = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
                for box in boxes:
                    pixels, valid = rig[name].project(box.corners)
                    if valid.all():
                        hull = cv2.convexHull(pixels.round().astype(np.int32))
                        cv2.fillConvexPoly(image, hull, (240, 240, 240))
                frames[name] = CameraFrame(name, stamp, image)
            writer.write_frame_set(FrameSet(stamp, frames, (), RigidTransform.identity()), rig)
            writer.write_objects(stamp, boxes)
