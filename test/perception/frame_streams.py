# SPDX-License-Identifier: Apache-2.0
"""Frames of cameras, in order or as they arrive, and what a synchroniser makes of them."""

from __future__ import annotations

import random

import numpy as np

from bev_perception.geometry import CameraFrame
from bev_perception.perception import SynchronizedSet, Synchronizer

MS = 1_000_000
IMAGE = np.zeros((1, 1, 3), dtype=np.uint8)
NAMES = ("front", "left", "rear", "right")


def frame(camera: str, ms: float) -> CameraFrame:
    return CameraFrame(camera, round(ms * MS), IMAGE)


def feed(synchronizer: Synchronizer, frames: list[CameraFrame]) -> list[SynchronizedSet]:
    return [found for each in frames for found in synchronizer.add(each)]


def contents(sets: list[SynchronizedSet]) -> list[dict[str, float]]:
    """Per set: stamp in milliseconds by camera."""
    return [{name: entry.stamp_ns / MS for name, entry in each.frames.items()} for each in sets]


def make_stream(seed: int, tolerance_ms: int, loss: float, num_sets: int = 25) -> list[CameraFrame]:
    """Four cameras of one period >= 2 tolerances, each stamp off by less than tolerance / 2."""
    rng = random.Random(seed)
    period = rng.uniform(2.0, 4.0) * tolerance_ms
    limit = tolerance_ms / 2 - 1e-3
    return [
        frame(name, 1000 + index * period + rng.uniform(-limit, limit))
        for index in range(num_sets)
        for name in NAMES
        if rng.random() >= loss
    ]


def as_arriving(frames: list[CameraFrame], seed: int, max_delay_ms: float) -> list[CameraFrame]:
    """The order after a delay per frame; a camera's own frames keep their order."""
    rng = random.Random(seed)
    arrival: dict[str, float] = {}
    keyed = []
    for each in sorted(frames, key=lambda entry: entry.stamp_ns):
        at = each.stamp_ns / MS + rng.uniform(0, max_delay_ms)
        at = arrival[each.camera] = max(at, arrival.get(each.camera, 0.0) + 1e-6)
        keyed.append((at, each.camera, each))
    return [each for _, _, each in sorted(keyed, key=lambda entry: entry[:2])]
