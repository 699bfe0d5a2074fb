# SPDX-License-Identifier: Apache-2.0
"""Every lift, and turned images, learn to find boxes that training did not show, by one budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from drawn_boxes import MODEL, write_bag

from bev_perception.evaluation.evaluate import evaluate_bags
from bev_perception.geometry.virtual_camera import VirtualCamera
from bev_perception.inference import load_engine
from bev_perception.model import LIFTS, LiftSettings
from bev_perception.training import DataConfig, TrainConfig
from bev_perception.training.configuration import OptimizerConfig
from bev_perception.training.train import train

SETTINGS = LiftSettings(depth_m=(1.0, 17.0), depth_bins=16, heads=2, points=2, bands=4)
CANON = tuple(VirtualCamera(yaw, 12.0, 0.0, 105.0) for yaw in (0.0, 180.0))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("drawn")
    return write_bag(folder / "train", 60, 5), write_bag(folder / "test", 15, 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LIFTS, "virtual"])
def test_it_learns(name, drawn, tmp_path):
    if name == "virtual":
        model = replace(MODEL, virtual_cameras=CANON)
    else:
        model = replace(MODEL, lift=name, lift_settings=SETTINGS)
    config = TrainConfig(
        out=tmp_path / "run",
        data=DataConfig(train=(drawn[0],), extraction_processes=1),
        model=model,
        optimizer=OptimizerConfig(learning_rate=8e-3, ema_decay=0.98),
        batch_size=4,
        max_steps=300,
        accelerator="cpu",
    )
    result = train(config, show_progress=False)
    seen = evaluate_bags([drawn[1]], load_engine(result.weights, device="cpu"))
    assert seen["iou"]["within_25m"] > 0.2, name
