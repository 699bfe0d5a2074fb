# SPDX-License-Identifier: Apache-2.0
"""What training will see, as pictures: ``bev train ... --preview N``.

Boxes are drawn with the true calibration and with the one that the network is told; where the two
part, the recipe tells it wrong on purpose.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bev_perception.datasets import ExtractionSettings, Sample, find_bags, prepare_bags
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import CameraFrame, FrameSet, Rig
from bev_perception.training import TrainConfig
from bev_perception.training.dataset import SegnetDataset
from bev_perception.training.miscalibration import MiscalibrationConfig
from bev_perception.visualization import (
    bev_picture,
    camera_picture,
    camera_rows,
    draw_boxes,
    write_image,
)

PREVIEW_FOLDER = "preview"
CAMERAS_WIDTH = 1280
_DRAWN_WIDTH = 960
"""Pixels to which a camera's image is enlarged before the true boxes are drawn into it."""


def write_preview(config: TrainConfig, count: int) -> list[Path]:
    """The first samples of a training, one picture each, in the folder "preview" of its output.

    Args:
        config: the training; of its bags as many are prepared as there are pictures.
        count: of pictures.

    Raises:
        BevError: the bags or the configuration cannot be used.
    """
    if not config.data.train:
        raise ConfigurationError("no bags to look at; name bags or folders in data.train")
    paths = find_bags(config.data.train)
    bags = prepare_bags(
        paths[:: max(1, len(paths) // count)][:count],
        config.data.cache_dir or config.out / "prepared",
        ExtractionSettings(
            config.model.image_size,
            config.data.stride,
            config.data.rig_file,
            virtual_cameras=config.model.virtual_cameras,
        ),
        config.data.extraction_processes,
    )
    true = replace(config.augmentation, miscalibration=MiscalibrationConfig())
    told_data, true_data = (
        SegnetDataset(bags, config.model, config.targets, choice, config.seed)
        for choice in (config.augmentation, true)
    )
    written = []
    for position in tqdm(range(count), desc="preview", unit="picture"):
        index = position * len(told_data) // count
        told = told_data.variation(index, position)
        # The rig is told wrong last, so the same draw without that is the true sample.
        picture = sample_picture(config, told, true_data.variation(index, position).rig)
        written.append(config.out / PREVIEW_FOLDER / f"sample_{position:02d}.jpg")
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        write_image(written[-1], picture)
    return written


def sample_picture(config: TrainConfig, told: Sample, true_rig: Rig) -> NDArray[np.uint8]:
    """The cameras of one sample with its boxes, beside them the boxes from above."""
    frames = {}
    for index, (name, entry) in enumerate(true_rig.cameras.items()):
        if not told.present[index]:
            continue
        size = (_DRAWN_WIDTH, round(_DRAWN_WIDTH * entry.camera.height / entry.camera.width))
        image = np.asarray(cv2.resize(told.images[index], size), dtype=np.uint8)
        frames[name] = CameraFrame(name, 0, draw_boxes(image, entry, told.objects))
    wrong = () if told.rig == true_rig else told.objects
    rig = told.rig
    width = CAMERAS_WIDTH * max(map(len, camera_rows(rig))) // 2
    cameras = camera_picture(FrameSet(0, frames), rig, (), wrong, width)
    grid = config.model.grid
    scale = (grid.y_max - grid.y_min) / (grid.x_max - grid.x_min)
    above = bev_picture(grid, None, None, told.objects, None, round(cameras.shape[0] * scale))
    height = min(len(cameras), len(above))
    return np.hstack([cameras[:height], above[:height]])
