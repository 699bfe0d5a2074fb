# SPDX-License-Identifier: Apache-2.0
"""``bev train --preview`` draws what training will see, and trains nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_boxes import MODEL

from bev_perception.cli import augmentation_preview
from bev_perception.cli.augmentation_preview import write_preview
from bev_perception.cli.main import main
from bev_perception.errors import ConfigurationError
from bev_perception.training.augmentation import AugmentationConfig
from bev_perception.training.configuration import DataConfig, TrainConfig
from bev_perception.training.miscalibration import MiscalibrationConfig
from bev_perception.training.views import ViewConfig
from bev_perception.visualization.palette import PREDICTION

TRUE = MiscalibrationConfig()


def test_preview_draws_augmented_samples_and_told_boxes_apart_from_true_ones(bags, tmp_path):
    augmentation = AugmentationConfig(
        views=ViewConfig(zoom=0.1), miscalibration=MiscalibrationConfig(pitch_deg=4.0)
    )
    config = TrainConfig(
        out=tmp_path / "out",
        data=DataConfig(train=bags, extraction_processes=1),
        model=MODEL,
        augmentation=augmentation,
    )
    paths = write_preview(config, 2)
    assert [path.name for path in paths] == ["sample_00.jpg", "sample_01.jpg"]
    first, second = (cv2.imread(str(path)) for path in paths)
    assert first.shape == second.shape
    assert (first != second).any()
    assert orange(first) > 20  # compression changes the colour of most thin lines
    config = replace(config, augmentation=replace(augmentation, miscalibration=TRUE))
    assert orange(cv2.imread(str(write_preview(config, 1)[0]))) == 0


def test_the_command_previews_and_does_not_train(tmp_path, monkeypatch, capsys):
    asked = []

    def preview(config, count):
        asked.append((config.data.train, config.augmentation.views.zoom, count))
        return [config.out / "preview" / "sample_00.jpg"]

    monkeypatch.setattr(augmentation_preview, "write_preview", preview)
    options = [f"--out={tmp_path}", "--preview=3", "--augmentation.views.zoom=0.1"]
    assert main(["train", "towns", *options]) == 0
    assert asked == [((Path("towns"),), 0.1, 3)]
    assert "pictures: " in capsys.readouterr().out
    assert not (tmp_path / "config.yaml").exists()


def test_previews_are_refused_without_bags(tmp_path):
    with pytest.raises(ConfigurationError, match=r"data\.train"):
        write_preview(TrainConfig(out=tmp_path / "out", model=MODEL), 2)


def orange(picture):
    """Pixels in the colour of boxes drawn with the calibration that is told."""
    distance = np.abs(picture[..., ::-1].astype(int) - PREDICTION)
    return int((distance.max(axis=-1) < 40).sum())
