# SPDX-License-Identifier: Apache-2.0
"""Memory pays: a tiny network learns to keep what it cannot see any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from drawn_boxes import MODEL, a_config, a_rig

from bev_perception.bags import BagWriter
from bev_perception.evaluation import evaluate_bags
from bev_perception.geometry import CameraFrame, FrameSet, ObjectBox, RigidTransform
from bev_perception.inference import TorchEngine
from bev_perception.model import load_weights
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.training import DataConfig, OptimizerConfig
from bev_perception.training.sequences.config import SequenceConfig
from bev_perception.training.train import train

SETS, SHOWN = 5, 2
PERIOD_NS = 500_000_000
SIZE = np.array([4.4, 2.4, 1.6])


def write_drive(path: Path, seed: int) -> Path:
    """Two parked cars in front and behind; after two sets nothing of them can be seen."""
    random, rig = np.random.default_rng(seed), a_rig()
    cars = [
        RigidTransform.from_euler(
            yaw=random.uniform(-3, 3),
            translation=(side * random.uniform(5, 8), random.uniform(-4, 4), 0.8),
        )
        for side in (1, -1)
    ]
    speed, turn = random.uniform(-0.6, 0.6), random.uniform(-0.05, 0.05)
    with BagWriter(path) as writer:
        writer.write_rig(rig, 10**9)
        for number in range(SETS):
            stamp_ns = 10**9 + number * PERIOD_NS
            pose = RigidTransform.from_euler(yaw=turn * number, translation=(speed * number, 0, 0))
            visibility = 1.0 if number < SHOWN else 0.0
            boxes = tuple(
                ObjectBox("car", index, car, SIZE, np.zeros(3), visibility).transformed(
                    pose.inverse()
                )
                for index, car in enumerate(cars)
            )
            frames = {
                name: CameraFrame(name, stamp_ns, picture(rig[name], boxes, number, random))
                for name in rig.names
            }
            writer.write_frame_set(FrameSet(stamp_ns, frames, (), pose), rig)
            writer.write_objects(stamp_ns, boxes)
    return path


def picture(camera: Any, boxes: Any, number: int, random: np.random.Generator) -> np.ndarray:
    image = random.integers(60, 90, (64, 96, 3), dtype=np.uint8)
    for box in boxes if number < SHOWN else ():
        pixels, valid = camera.project(box.corners)
        if valid.all():
            hull = cv2.convexHull(pixels.round().astype(np.int32))
            cv2.fillConvexPoly(image, hull, (240, 240, 240))
    return image


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_cars_hidden_for_a_second_are_known_with_memory_alone(tmp_path: Path, cache: Path) -> None:
    drives = [write_drive(tmp_path / f"drive{seed}", seed) for seed in range(24)]
    known = {}
    for kind in ("none", "queue", "gru"):
        config = a_config(tmp_path / kind, (drives[0], drives[1]), cache)
        config = replace(
            config,
            model=replace(
                MODEL, memory=MemoryConfig(kind, interval_s=1.0, time_slots=2, distance_slots=0)
            ),
            data=DataConfig(train=tuple(drives[:18]), cache_dir=cache, extraction_processes=1),
            sequences=SequenceConfig(history=1, graded=3, remember_s=3.0),
            optimizer=OptimizerConfig(learning_rate=5e-3, ema_decay=0.9),
            augmentation=replace(config.augmentation, camera_dropout=0.0),
            batch_size=4,
            max_steps=300,
        )
        result = train(config, show_progress=False)
        engine = TorchEngine(load_weights(result.weights)[0])
        metrics = evaluate_bags(drives[18:], engine, show_progress=False)
        known[kind] = metrics["hidden"]["within_25m"]["all"]
    assert known["none"]["objects"] == 6 * 2 * 3
    for kind in ("queue", "gru"):
        assert known[kind]["iou"] > known["none"]["iou"] + 0.15, known
