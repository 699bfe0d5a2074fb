# SPDX-License-Identifier: Apache-2.0
"""Points, edges and ground as cameras of a moving vehicle see them, made of numbers alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.geometry_evidence import Evidence, ImagePair
from bev_perception.doctor.image_tracks import Tracks
from bev_perception.geometry import (
    BODY_T_OPTICAL,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)

NOISE_PX = 0.2
VIEWS_DEG = {"front": 0.0, "left": 90.0, "rear": 180.0, "right": -90.0}


def mounted(yaw_deg: float, pitch_deg: float = 5.0, height_m: float = 1.6) -> RigCamera:
    """A wide camera on a vehicle."""
    turn = RigidTransform.from_euler(
        0.0, math.radians(pitch_deg), math.radians(yaw_deg), (1.0, 0.0, height_m)
    )
    camera = PinholeCamera.from_field_of_view(640, 440, 95.0)
    return RigCamera(camera, turn @ BODY_T_OPTICAL)


def ring() -> Rig:
    """Four cameras all around."""
    return Rig({name: mounted(yaw) for name, yaw in VIEWS_DEG.items()})


def step(way_m: float = 0.9, turn_deg: float = 1.0) -> RigidTransform:
    """second_T_first of a vehicle that drives ahead and turns left."""
    pose = RigidTransform.from_euler(0.0, 0.0, math.radians(turn_deg), (way_m, 0.0, 0.0))
    return pose.inverse()


def seen_twice(
    entry: RigCamera,
    points: NDArray[np.float64],
    motion: RigidTransform,
    random: np.random.Generator,
) -> Tracks:
    """Noisy pixels of points of base_link that both images show."""
    before, valid = entry.project(points)
    after, valid_after = entry.project(motion.apply(points))
    kept = valid & valid_after & entry.camera.contains(before) & entry.camera.contains(after)
    noise = random.normal(0.0, NOISE_PX, (2, int(kept.sum()), 2))
    return Tracks(before[kept] + noise[0], after[kept] + noise[1])


def houses(random: np.random.Generator, count: int = 1500) -> NDArray[np.float64]:
    """(n, 3) points of what stands around the vehicle, above the road."""
    angle = random.uniform(-math.pi, math.pi, count)
    reach = random.uniform(6.0, 40.0, count)
    return np.stack(
        [reach * np.cos(angle), reach * np.sin(angle), random.uniform(0.1, 9.0, count)], axis=-1
    )


def evidence_of(
    true: RigCamera, told: RigCamera, motion: RigidTransform | None, random: np.random.Generator
) -> Evidence:
    """What a camera sees, as rays of a calibration that may be wrong; one in ten is rubbish."""
    moved = RigidTransform.identity() if motion is None else motion
    corners = seen_twice(true, houses(random), moved, random)
    road = np.stack(
        [random.uniform(-9.0, 9.0, 300), random.uniform(-9.0, 9.0, 300), np.zeros(300)], axis=-1
    )
    road = road[np.linalg.norm(road[:, :2], axis=1) > 2.0]
    ground = seen_twice(true, road, moved, random)
    return Evidence(
        _rays(told, _spoiled(corners, random)),
        _rays(told, _spoiled(ground, random)),
        _edges(true, told, random),
        motion,
        np.array([0.0, 0.0, 1.0]),
    )


def pairs_of(
    entry: RigCamera, motion: RigidTransform | None, random: np.random.Generator, count: int = 4
) -> tuple[ImagePair, ...]:
    """Blank images with tracked corners: motion alone tells what they are."""
    blank = np.zeros((entry.camera.height, entry.camera.width), np.uint8)
    moved = step() if motion is None else motion
    return tuple(
        ImagePair(
            blank,
            blank,
            seen_twice(entry, houses(random), moved, random),
            np.zeros((0, 2, 2)),
            motion,
            position=np.array([float(index), 0.0, 0.0]),
        )
        for index in range(count)
    )


def _spoiled(tracks: Tracks, random: np.random.Generator) -> Tracks:
    second = tracks.second.copy()
    wrong = random.random(len(second)) < 0.1
    second[wrong] += random.normal(0.0, 20.0, (int(wrong.sum()), 2))
    return Tracks(tracks.first, second)


def _rays(told: RigCamera, tracks: Tracks) -> Tracks:
    return Tracks(*(told.camera.unproject(each) for each in tracks))


def _edges(true: RigCamera, told: RigCamera, random: np.random.Generator) -> NDArray[np.float64]:
    """Planes of upright edges of houses, and of as many that lean any way."""
    feet = houses(random, 150)
    feet[:, 2] = 1.7
    upright = np.tile([0.0, 0.0, 3.0], (150, 1))
    leaning = random.normal(0.0, 1.5, (150, 3))
    tops = np.concatenate([feet + upright, feet + leaning])
    ends = [true.project(each)[0] for each in (np.concatenate([feet, feet]), tops)]
    shown = np.isfinite(ends[0]).all(axis=1) & np.isfinite(ends[1]).all(axis=1)
    shown &= true.camera.contains(ends[0]) & true.camera.contains(ends[1])
    planes = np.cross(*(told.camera.unproject(each[shown]) for each in ends))
    return planes / np.linalg.norm(planes, axis=1, keepdims=True)
