# SPDX-License-Identifier: Apache-2.0
"""Batches of windows for one run."""

from __future__ import annotations

from bev_perception.training.configuration import TrainConfig
from bev_perception.training.data_module import SegnetData
from bev_perception.training.sequences.window_batch import collate_windows
from bev_perception.training.sequences.window_dataset import WindowDataset
from bev_perception.training.splits import Splits


def window_data(bags: Splits, config: TrainConfig) -> SegnetData:
    """Windows of the training sets, varied, and of the validation sets, as recorded.

    All training sets have labels: TrainConfig refuses windows where only some of a drive have.

    Raises:
        ConfigurationError: bags were prepared without ego poses, see WindowDataset.
    """
    model, sequences, targets = config.model, config.sequences, config.targets
    train = WindowDataset(bags.train, model, sequences, targets, config.augmentation, config.seed)
    validation = WindowDataset(bags.validation, model, sequences, targets)
    return SegnetData(train, validation, config, collate_windows, collate_windows)
