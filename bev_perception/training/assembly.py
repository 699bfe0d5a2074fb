# SPDX-License-Identifier: Apache-2.0
"""Module and data of a run: single sets, windows of them, or also some without labels."""

from __future__ import annotations

from bev_perception.model import Segnet
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.data_module import SegnetData
from bev_perception.training.dataset import SegnetDataset
from bev_perception.training.module import SegnetModule
from bev_perception.training.semi_supervised.module import SemiSupervisedModule
from bev_perception.training.semi_supervised.unlabelled_data import (
    SemiSupervisedDataset,
    collate_semi_supervised,
)
from bev_perception.training.sequences.window_data import window_data
from bev_perception.training.sequences.window_module import WindowModule
from bev_perception.training.splits import Splits


def make_module(model: Segnet, config: TrainConfig) -> SegnetModule:
    """What trains the network by the configured method."""
    if config.sequences.uses_windows:
        return WindowModule(model, config)
    is_supervised = config.semi_supervised.method == "none"
    return SegnetModule(model, config) if is_supervised else SemiSupervisedModule(model, config)


def make_data(bags: Splits, config: TrainConfig) -> SegnetData:
    """Its batches."""
    if config.sequences.uses_windows:
        return window_data(bags, config)
    labelled = SegnetDataset(
        bags.train, config.model, config.targets, config.augmentation, config.seed, bags.labelled
    )
    validation = SegnetDataset(bags.validation, config.model, config.targets)
    if config.semi_supervised.method == "none":
        return SegnetData(labelled, validation, config)
    both = SemiSupervisedDataset(
        labelled,
        bags.unlabelled,
        config.semi_supervised,
        config.model,
        config.augmentation,
        config.seed,
    )
    return SegnetData(both, validation, config, collate_semi_supervised)
