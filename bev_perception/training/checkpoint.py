# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which a run goes on as if it had never stopped."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from bev_perception.errors import ConfigurationError
from bev_perception.training.configuration import TrainConfig

FACTS_KEY = "bev_perception_run"


class CheckpointKeeper(Callback):
    """Keeps one checkpoint, replaced as a whole, from which a run goes on exactly.

    Writes every config.checkpoint_every optimiser steps and after the last one.

    Args:
        path: the checkpoint.
        config: the run, whose schedule and order the checkpoint belongs to.
        num_samples: size of the training set, on which the order depends.
    """

    def __init__(self, path: Path, config: TrainConfig, num_samples: int) -> None:
        self._path = path
        self._facts = _facts(config, num_samples)
        self._every = config.checkpoint_every
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes where the run stands."""
        self._step = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Writes when a step is due; must come after all callbacks that change state."""
        step = trainer.global_step
        stepped, self._step = step != self._step, step
        ends = trainer.should_stop or step >= trainer.max_steps
        if not stepped or not (ends or step % self._every == 0):
            return
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.partial")
        try:
            trainer.save_checkpoint(partial)
            if trainer.is_global_zero:
                os.replace(partial, self._path)
        finally:
            partial.unlink(missing_ok=True)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what a resumed run must agree with."""
        checkpoint[FACTS_KEY] = dict(self._facts)


def check_resumable(path: Path, config: TrainConfig, num_samples: int | None = None) -> None:
    """Refuses a checkpoint from which this run cannot go on as it began.

    Args:
        path: the checkpoint.
        config: this run.
        num_samples: size of its training set; None while that is not known.

    Raises:
        ConfigurationError: it is missing, damaged, or of a run with another model, schedule,
            augmentation or order of samples. Lightning would restore the old schedule without
            a word.
    """
    if not path.is_file():
        raise ConfigurationError(
            f"nothing to resume: {path} does not exist; leave --resume out to start one"
        )
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)[FACTS_KEY]
    except (OSError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ConfigurationError(
            f"checkpoint {path} is damaged or not one of bev train: {error}"
        ) from error
    changed = [
        f"{name} {saved.get(name)} there, {value} here"
        for name, value in _facts(config, num_samples).items()
        if value is not None and name in saved and saved[name] != value
    ]
    if changed:
        raise ConfigurationError(
            f"checkpoint {path} is of another run: {'; '.join(changed)}; resume with the options "
            f"it was started with (config.yaml beside it), or start anew from its weights with "
            f"--init_weights"
        )


def _facts(config: TrainConfig, num_samples: int | None) -> dict[str, Any]:
    """What decides schedule, order, variations and shapes, as plain values."""
    return {
        "model": json.dumps(config.model.to_dict()),
        "max_steps": config.max_steps,
        "batch_size": config.batch_size,
        "accumulate": config.accumulate,
        "seed": config.seed,
        "optimizer": json.dumps(asdict(config.optimizer)),
        "augmentation": json.dumps(asdict(config.augmentation)),
        "targets": json.dumps(asdict(config.targets)),
        "training sets": num_samples,
    }
