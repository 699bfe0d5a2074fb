# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which a run goes on as if it had never stopped."""

from __future__ import annotations

import json
import os
import pickle
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
    """

    def __init__(self, path: Path, config: TrainConfig) -> None:
        self._path = path
        self._config = config
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
        checkpoint[FACTS_KEY] = _facts(self._config)


def check_resumable(path: Path, config: TrainConfig) -> None:
    """Refuses a checkpoint from which this run cannot go on.

    Raises:
        ConfigurationError: it is missing, damaged, or of a run with another model, schedule
            or order of samples.
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
        for name, value in _facts(config).items()
        if saved.get(name) != value
    ]
    if changed:
        raise ConfigurationError(
            f"checkpoint {path} is of another run: {'; '.join(changed)}; resume with the options "
            f"it was started with, or start anew from its weights with --init_weights"
        )


def _facts(config: TrainConfig) -> dict[str, Any]:
    """What decides schedule, order and shapes, as plain values."""
    return {
        "model": json.dumps(config.model.to_dict()),
        "max_steps": config.max_steps,
        "batch_size": config.batch_size,
        "accumulate": config.accumulate,
        "seed": config.seed,
        "ema": config.optimizer.ema_decay is not None,
    }
