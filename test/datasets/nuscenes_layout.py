# SPDX-License-Identifier: Apache-2.0
"""A small world written as nuScenes is published: tables by hand, nothing of the package in it.

A vehicle drives a curve at ten metres per second past a parked car, a moving truck and a
pedestrian. Every camera takes its image at a time of its own, from where the vehicle is then.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

WIDTH, HEIGHT = 160, 90
START_US = 1_532_402_927_600_000
PERIOD_US = 500_000
MATRIX = [[126.0, 0.0, 81.5], [0.0, 126.0, 49.1], [0.0, 0.0, 1.0]]
CAMERAS = {
    "CAM_FRONT": (0.0, -8_000),
    "CAM_FRONT_RIGHT": (-55.0, 12_000),
    "CAM_BACK_RIGHT": (-110.0, 21_000),
    "CAM_BACK": (180.0, -31_000),
    "CAM_BACK_LEFT": (110.0, -45_000),
    "CAM_FRONT_LEFT": (55.0, 4_000),
}
"""Yaw in degrees, and time after the keyframe in microseconds."""

LEVELS = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}
OBJECTS = (
    ("vehicle.car", (12.0, 6.0, 0.8), (0.0, 0.0), (1.9, 4.5, 1.6), "4"),
    ("vehicle.truck", (25.0, -5.0, 1.6), (4.0, 1.0), (2.5, 9.0, 3.2), "2"),
    ("human.pedestrian.adult", (8.0, -7.0, 0.9), (0.0, 1.2), (0.6, 0.7, 1.8), "1"),
)
"""Category, position and velocity in the world at the start, size (w, l, h), visibility."""


@dataclass
class Layout:
    """Tables by name, and what tests compare with."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, table: str, **values: Any) -> str:
        rows = self.tables.setdefault(table, [])
        token = f"{table}-{len(rows):04d}"
        rows.append({"token": token, **values})
        return token


def ego_pose(time_us: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position (3,) and quaternion (w, x, y, z) in the world; slightly pitched."""
    seconds = (time_us - START_US) / 1e6
    yaw = 0.1 * seconds
    place = np.array([100.0 * np.sin(yaw), 100.0 * (1.0 - np.cos(yaw)), 0.0])
    x, y, z, w = Rotation.from_euler("ZYX", (yaw, 0.02, -0.01)).as_quat()
    return place, np.array([w, x, y, z])


def write_nuscenes(root: Path, version: str = "v1.0-mini", samples: int = 3) -> Layout:
    """Two scenes, the first in mini's training split and the second in its validation split."""
    layout = Layout()
    for token, level in LEVELS.items():
        layout.tables.setdefault("visibility", []).append({"token": token, "level": level})
    categories = {name: layout.add("category", name=name) for name, *_ in OBJECTS}
    log = layout.add("log", location="singapore-onenorth")
    sensors = {name: layout.add("sensor", channel=name, modality="camera") for name in CAMERAS}
    lidar = layout.add("sensor", channel="LIDAR_TOP", modality="lidar")
    for number, name in enumerate(("scene-0061", "scene-0103")):
        start_us = START_US + number * 60_000_000
        scene = layout.add(
            "scene", name=name, log_token=log, description="Parked car, rain", nbr_samples=samples
        )
        calibrated = {
            channel: layout.add("calibrated_sensor", sensor_token=sensors[channel],
                                camera_intrinsic=MATRIX, **_mounting(yaw))
            for channel, (yaw, _) in CAMERAS.items()
        }  # fmt: skip
        calibrated["LIDAR_TOP"] = layout.add(
            "calibrated_sensor", sensor_token=lidar, camera_intrinsic=[],
            translation=[0.9, 0.0, 1.84], rotation=[0.7077, -0.0064, 0.0106, -0.7063],
        )  # fmt: skip
        _write_samples(layout, root, scene, start_us, samples, calibrated)
        _write_boxes(layout, scene, start_us, categories)
    folder = root / version
    folder.mkdir(parents=True)
    for table, rows in layout.tables.items():
        (folder / f"{table}.json").write_text(json.dumps(rows))
    return layout


def _mounting(yaw_deg: float) -> dict[str, list[float]]:
    """Optical frame (x right, y down, z forward) at a yaw, 1.5 m high."""
    body = Rotation.from_euler("z", yaw_deg, degrees=True).as_matrix()
    optical = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    x, y, z, w = Rotation.from_matrix(body @ optical).as_quat()
    place = np.array([1.0, 0.0, 1.5]) + body @ np.array([0.6, 0.0, 0.0])
    return {"translation": place.tolist(), "rotation": [w, x, y, z]}


def _write_samples(
    layout: Layout, root: Path, scene: str, start_us: int, count: int, calibrated: dict[str, str]
) -> None:
    for index in range(count):
        time_us = start_us + index * PERIOD_US
        sample = layout.add("sample", timestamp=time_us, scene_token=scene, prev="", next="")
        for channel, token in calibrated.items():
            delays = [(CAMERAS.get(channel, (0.0, 0))[1], True)]
            if index and channel in CAMERAS:
                delays.append((delays[0][0] - PERIOD_US // 2, False))  # a sweep before the keyframe
            for delay_us, is_key_frame in delays:
                own_us = time_us + delay_us
                place, turn = ego_pose(own_us - start_us + START_US)
                pose = layout.add(
                    "ego_pose", timestamp=own_us, translation=place.tolist(), rotation=turn.tolist()
                )
                folder = "samples" if is_key_frame else "sweeps"
                name = f"{folder}/{channel}/{own_us}.jpg"
                if channel in CAMERAS:
                    _write_image(root / name, own_us)
                layout.add(
                    "sample_data", sample_token=sample, ego_pose_token=pose, filename=name,
                    calibrated_sensor_token=token, timestamp=own_us, is_key_frame=is_key_frame,
                    width=WIDTH if channel in CAMERAS else 0,
                    height=HEIGHT if channel in CAMERAS else 0, fileformat="jpg", prev="", next="",
                )  # fmt: skip


def _write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)


def _write_boxes(layout: Layout, scene: str, start_us: int, categories: dict[str, str]) -> None:
    samples = [row for row in layout.tables["sample"] if row["scene_token"] == scene]
    for category, place, velocity, size, visibility in OBJECTS:
        instance = layout.add("instance", category_token=categories[category])
        heading = float(np.arctan2(velocity[1], velocity[0]))
        x, y, z, w = Rotation.from_euler("z", heading).as_quat()
        first = len(layout.tables.setdefault("sample_annotation", []))
        tokens = [f"sample_annotation-{first + index:04d}" for index in range(len(samples))]
        for index, sample in enumerate(samples):
            seconds = (sample["timestamp"] - start_us) / 1e6
            moved = np.array(place) + seconds * np.array([*velocity, 0.0])
            layout.add(
                "sample_annotation", sample_token=sample["token"], instance_token=instance,
                visibility_token=visibility, translation=moved.tolist(), size=list(size),
                rotation=[w, x, y, z], num_lidar_pts=5, num_radar_pts=0, attribute_tokens=[],
                prev=tokens[index - 1] if index else "",
                next=tokens[index + 1] if index + 1 < len(samples) else "",
            )  # fmt: skip
