# SPDX-License-Identifier: Apache-2.0
"""Loaders of training and validation batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Subset

from bev_perception.training.batch import collate
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.dataset import SegnetDataset
from bev_perception.training.sampling import EndlessBatchSampler
from bev_perception.training.semi_supervised.unlabelled_data import SemiSupervisedDataset
from bev_perception.training.sequences.window_dataset import WindowDataset


class SegnetData(LightningDataModule):
    """Batches for one run; training goes on at the trainer's step.

    Args:
        train: augmented samples, perhaps with others that have no labels.
        validation: samples as recorded; may be empty.
        config: the run.
        collate_train: stacks examples of train.
        collate_validation: stacks examples of validation.
    """

    def __init__(
        self,
        train: SegnetDataset | SemiSupervisedDataset | WindowDataset,
        validation: SegnetDataset | WindowDataset,
        config: TrainConfig,
        collate_train: Callable[[Sequence[Any]], Any] = collate,
        collate_validation: Callable[[Sequence[Any]], Any] = collate,
    ) -> None:
        super().__init__()
        self._train = train
        self._validation = validation
        self._config = config
        self._collate_train = collate_train
        self._collate_validation = collate_validation

    def train_dataloader(self) -> DataLoader[Any]:
        """Endless batches from the trainer's current step on."""
        config, trainer = self._config, self.trainer
        steps = trainer.global_step if trainer else 0
        sampler = EndlessBatchSampler(
            len(self._train),
            config.batch_size,
            config.seed,
            start_batch=steps * config.accumulate,
            rank=trainer.global_rank if trainer else 0,
            num_replicas=trainer.world_size if trainer else 1,
        )
        return DataLoader(
            self._train,
            batch_sampler=sampler,
            collate_fn=self._collate_train,
            **_workers(config.data.workers),
        )

    def val_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        """This process's share of the validation sets: evenly spread, as many as configured."""
        count = min(len(self._validation), self._config.data.max_validation_sets)
        if not count:
            return []
        chosen = np.linspace(0, len(self._validation) - 1, count).round().astype(int)
        rank, processes = (
            (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        )
        return DataLoader(
            Subset(self._validation, chosen[rank::processes].tolist()),
            batch_size=self._config.batch_size,
            collate_fn=self._collate_validation,
            **_workers(self._config.data.workers),
        )


def _workers(count: int) -> dict[str, Any]:
    """Arguments of a loader with count processes; 0 loads in this one.

    They are not forked from this process: it has threads, of OpenCV for one, whose locks and
    pools a fork copies without the threads, and the child would wait for them for ever.
    """
    if not count:
        return {}
    return {
        "num_workers": count,
        "multiprocessing_context": "forkserver",
        "persistent_workers": True,
        "worker_init_fn": _start_worker,
    }


def _start_worker(worker: int) -> None:
    """One thread of OpenCV each: the processes themselves are what runs in parallel."""
    cv2.setNumThreads(1)
