# SPDX-License-Identifier: Apache-2.0
"""A whole training of a network that tells classes apart."""

from __future__ import annotations

from dataclasses import replace

from drawn_boxes import MODEL, a_config

from bev_perception.datasets import TargetSettings
from bev_perception.geometry.class_sets import ROAD_USERS
from bev_perception.model import load_weights
from bev_perception.training.train import train


def test_training_reports_every_class_and_the_weights_know_them(tmp_path, bags, cache):
    config = a_config(tmp_path, bags, cache, max_steps=2, validate_every=2)
    config = replace(
        config,
        model=replace(MODEL, classes=ROAD_USERS),
        targets=TargetSettings(classes=ROAD_USERS),
    )
    result = train(config, show_progress=False)
    assert {"iou_within_25m", "iou_vehicle_within_25m"} <= set(result.metrics)
    assert {f"segmentation_{name}" for name in ROAD_USERS} <= set(result.metrics)
    model, metadata = load_weights(result.weights)
    assert model.config.classes == ROAD_USERS
    assert metadata["recipe"]["targets"]["classes"] == list(ROAD_USERS)
