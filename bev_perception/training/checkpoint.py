# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which a run goes on as if it had never stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from bev_perception.errors import ConfigurationError
from bev_perception.training.checkpoint_file import LAST_NAME, newest_checkpoint
from bev_perception.training.configuration import TrainConfig

FACTS_KEY = "bev_perception_run"
MINUTES_KEY = "bev_perception_minutes"
START_KEY = "bev_perception_start"


class CheckpointKeeper(Callback):
    """Writes what a run needs to go on exactly, see checkpoint_file.

    Writes every config.checkpoint_every optimiser steps and after the last one.

    Args:
        config: the run, whose schedule and order the checkpoint belongs to.
        num_samples: size of the training set, on which the order depends.
        processes: how many processes train together, on which it depends, too.
        start: see described_start; kept, as the weights that a run began with need not be there
            when it goes on.

    Attributes:
        saved_step: of the newest checkpoint, None before the first.
        start: of this run, also when it was resumed.
        minutes: spent in training, that of the parts before included.
    """

    def __init__(
        self,
        config: TrainConfig,
        num_samples: int,
        processes: int = 1,
        start: Mapping[str, Any] | None = None,
    ) -> None:
        self.start = dict(start or {})
        self.saved_step: int | None = None
        self._path = config.out / LAST_NAME
        self._facts = _facts(config, num_samples, processes)
        self._every = config.checkpoint_every
        self._step = 0
        self._earlier_minutes = 0.0
        self._started = time.monotonic()

    @property
    def minutes(self) -> float:
        """See the class."""
        return self._earlier_minutes + (time.monotonic() - self._started) / 60.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes where the run stands."""
        self._started = time.monotonic()
        self._step = trainer.global_step
        self.saved_step = self._step or None

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Writes when a step is due; must come after all callbacks that change state."""
        step = trainer.global_step
        stepped, self._step = step != self._step, step
        ends = trainer.should_stop or step >= trainer.max_steps
        if stepped and (ends or step % self._every == 0):
            trainer.save_checkpoint(self._path)
            self.saved_step = step

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what a resumed run must agree with."""
        checkpoint[FACTS_KEY] = dict(self._facts)
        checkpoint[MINUTES_KEY] = self.minutes
        checkpoint[START_KEY] = self.start

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes over start and time of the parts before; older checkpoints do not say.

        And the step, as a run that was stopped after its last one has nothing to start.
        """
        self.saved_step = int(checkpoint["global_step"])
        self.start = dict(checkpoint.get(START_KEY, self.start))
        self._earlier_minutes = float(checkpoint.get(MINUTES_KEY, 0.0))


def resumable_checkpoint(
    config: TrainConfig, num_samples: int | None = None, processes: int | None = None
) -> tuple[Path, int]:
    """The checkpoint from which this run goes on, and its step.

    Args:
        config: this run.
        num_samples: size of its training set; None while that is not known.
        processes: how many train together; None when that does not matter.

    Raises:
        ConfigurationError: it is missing, damaged, or of a run with another model, schedule,
            augmentation or order of samples. Lightning would restore the old schedule without
            a word.
    """
    path, checkpoint = newest_checkpoint(config.out)
    saved = checkpoint.get(FACTS_KEY)
    if not isinstance(saved, Mapping):
        raise ConfigurationError(f"checkpoint {path} is damaged or not one of bev train")
    saved = {"data.labelled_unit": "drive", **saved}  # there was no other before
    changed = [
        f"{name} {saved.get(name)} there, {value} here"
        for name, value in _facts(config, num_samples, processes).items()
        if value is not None and name in saved and saved[name] != value
    ]
    if changed:
        raise ConfigurationError(
            f"checkpoint {path} is of another run: {'; '.join(changed)}; resume with the options "
            f"it was started with (config.yaml beside it), or start anew from its weights with "
            f"--init_weights"
        )
    return path, int(checkpoint["global_step"])


def _facts(config: TrainConfig, num_samples: int | None, processes: int | None) -> dict[str, Any]:
    """What decides schedule, order, variations and shapes, as plain values."""
    values = config.to_dict()
    facts = decisive_options(values)
    facts["data.unlabelled"] = values["data"]["unlabelled"]
    return {**facts, "training sets": num_samples, "processes": processes}


def decisive_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options that decide what is learned from given bags, by their names on the command line.

    Args:
        values: of TrainConfig.to_dict, or the recipe in the metadata of weights.
    """
    learning = ("optimizer", "augmentation", "losses", "semi_supervised", "sequences")
    parts = ("model", "targets", *learning)
    numbers = ("max_steps", "batch_size", "accumulate", "seed")
    chosen = {name: values[name] for name in (*parts, *numbers) if name in values}
    of_data = ("labelled_fraction", "labelled_unit")
    chosen["data"] = {name: values["data"][name] for name in of_data if name in values["data"]}
    return _flat(chosen)


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested options by their names on the command line."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{before}{name}."))
        else:
            flat[before + name] = value
    return flat
