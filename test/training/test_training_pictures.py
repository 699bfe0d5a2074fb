# SPDX-License-Identifier: Apache-2.0
"""Pictures of training show inputs, truth and prediction the right way up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_boxes import a_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bev_perception.geometry import BevGrid
from bev_perception.model import SegnetOutput
from bev_perception.training.batch import Batch
from bev_perception.training.pictures import GAP, MAP_WIDTH, batch_picture, offset_colors
from bev_perception.training.train import train
from bev_perception.visualization.palette import UNKNOWN_LIGHT

GRID = BevGrid.centered(10.0, 0.5)


def a_batch(*occupied):
    """Two samples of three cameras; cells (x, y) in metres are vehicles in the first."""
    segmentation, valid = torch.zeros(2, 1, *GRID.shape), torch.ones(2, 1, *GRID.shape)
    for x, y in occupied:
        segmentation[0, 0, int((y + 10) / 0.5), int((x + 10) / 0.5)] = 1.0
    images = torch.full((2, 3, 3, 32, 48), 90, dtype=torch.uint8)
    offset = torch.zeros(2, 2, *GRID.shape)
    return Batch(images, None, segmentation, valid, segmentation.clone(), offset)


def an_output():
    logits = torch.full((2, 1, *GRID.shape), -9.0)
    return SegnetOutput(logits, None, logits, logits.sigmoid(), torch.zeros(2, 2, *GRID.shape))


def map_of(picture, column, rows_above):
    left = column * (MAP_WIDTH + GAP)
    return picture[rows_above : rows_above + MAP_WIDTH, left : left + MAP_WIDTH].astype(int)


def test_a_vehicle_ahead_on_the_left_is_drawn_above_on_the_left():
    batch, output = a_batch((7.2, 5.3)), an_output()
    picture = batch_picture(batch, output, GRID)
    above = picture.shape[0] // 2 - MAP_WIDTH - GAP
    truth, prediction = map_of(picture, 0, above), map_of(picture, 1, above)
    rows, columns = np.nonzero(truth.sum(axis=-1) > 400)
    rows, columns = rows[rows > 20], columns[rows > 20]  # below the title
    assert rows.mean() == pytest.approx(MAP_WIDTH * (10 - 7.25) / 20, abs=6)
    assert columns.mean() == pytest.approx(MAP_WIDTH * (10 - 5.25) / 20, abs=6)
    assert (prediction[20:].sum(axis=-1) < 400).all()
    assert (picture[above // 3, 40] == 90).all()


def test_cells_that_no_loss_counts_are_grey():
    batch = a_batch()
    batch.valid[0, 0, :, 20:] = 0.0  # all that lies ahead
    picture = batch_picture(batch, an_output(), GRID)
    truth = map_of(picture, 0, picture.shape[0] // 2 - MAP_WIDTH - GAP)
    assert (truth[60, 20] == UNKNOWN_LIGHT).all()
    assert not (truth[150, 20] == UNKNOWN_LIGHT).all()


def test_offsets_are_told_apart_by_direction_and_length():
    offsets = np.array([[2.0, -2.0, 0.0, 0.2], [0.0, 0.0, 2.0, 0.0]], dtype=np.float32)[:, None]
    forward, backward, left, near = offset_colors(offsets)[0].astype(int)
    assert forward[0] > 2 * forward[1:].max()
    assert np.abs(forward - backward).sum() > 200
    assert np.abs(left - backward).sum() > 100
    assert near[0] < forward[0] / 2


def test_training_logs_scalars_and_pictures(tmp_path, bags, cache):
    train(a_config(tmp_path, bags, cache, max_steps=4, log_every=1), show_progress=False)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"train/samples", "validation/samples"} <= set(events.Tags()["images"])
    names = {"train/segmentation", "train/center", "train/offset", "train/total", "learning_rate"}
    names |= {"gradient_norm", "validation/iou_within_25m", "weighting/w_center"}
    assert names <= set(events.Tags()["scalars"])
