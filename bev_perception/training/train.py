# SPDX-License-Identifier: Apache-2.0
"""``bev train``: from bags to weights."""

from __future__ import annotations

import logging
import math
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, Trainer, seed_everything

from bev_perception.datasets.prepared_bag import PreparedBag
from bev_perception.errors import BevError, ConfigurationError
from bev_perception.evaluation.calibrate import calibration_values
from bev_perception.folder_lock import only_writer
from bev_perception.model import Segnet, load_weights, resolve_weights, save_weights
from bev_perception.model.adaptation import adapted
from bev_perception.model.calibration import CALIBRATION_KEY
from bev_perception.training.assembly import make_data, make_module
from bev_perception.training.callbacks import StepProgress, Stopper
from bev_perception.training.checkpoint import CheckpointKeeper, resumable_checkpoint
from bev_perception.training.checkpoint_file import (
    LAST_NAME,
    has_checkpoint,
    remove_partial_checkpoints,
)
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.data_module import SegnetData
from bev_perception.training.distributed import (
    Processes,
    first_of_machine_first,
    joined,
    processes_of_torchrun,
)
from bev_perception.training.fitting import fit, told
from bev_perception.training.module import SegnetModule
from bev_perception.training.provenance import describe_run, described_start
from bev_perception.training.splits import Splits, prepared_splits
from bev_perception.training.synchronized_norm import synchronize_batch_norms
from bev_perception.training.trainer import make_trainer, process_count, runs_on_gpu

CONFIG_NAME = "config.yaml"
WEIGHTS_NAME = "weights.safetensors"

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a run left behind.

    Attributes:
        weights: the exported weights.
        steps: optimiser steps done in all.
        metrics: of the exported weights on the validation sets; empty without any.
    """

    weights: Path
    steps: int
    metrics: dict[str, float]


def train(
    config: TrainConfig, show_progress: bool = True, callbacks: Sequence[Callback] = ()
) -> TrainResult:
    """Trains and exports weights; see TrainConfig. Under torchrun, together with others.

    Args:
        config: the run.
        show_progress: draw bars.
        callbacks: of Lightning, called after ours.

    Raises:
        BevError: bags, weights or configuration cannot be used, or training cannot go on.
        KeyboardInterrupt: Ctrl-C; the checkpoint is written before, resume goes on from it.
    """
    started = time.monotonic()
    processes = processes_of_torchrun()
    count = process_count(config, processes)  # refuses devices that are not there
    if config.resume:
        resumable_checkpoint(config)  # before the bags, so that a mistake costs no time
    elif has_checkpoint(config.out):
        raise ConfigurationError(
            f"{config.out} holds a training already ({LAST_NAME}); give --resume true to go "
            f"on with it, or another --out"
        )
    with joined(processes, runs_on_gpu(config)), warnings.catch_warnings():
        _quieten_lightning()
        seed_everything(config.seed, verbose=False)
        model, start = _initial_model(config)
        shows = show_progress and processes.rank == 0
        with first_of_machine_first(processes):
            bags = prepared_splits(config, shows, count)
        stopper = Stopper(config.max_minutes, started)
        with _alone(config.out, processes):
            return _train(config, model, start, bags, processes, shows, stopper, callbacks)


@contextmanager
def _alone(out: Path, processes: Processes) -> Iterator[None]:
    """No other training writes to the folder; those of one torchrun are one."""
    if processes.rank > 0:
        yield
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(only_writer(out))
        except BlockingIOError as error:
            raise ConfigurationError(
                f"another process trains in {out}; wait for it, or choose another --out"
            ) from error
        yield


def _train(
    config: TrainConfig,
    model: Segnet,
    start: dict[str, Any],
    bags: Splits,
    processes: Processes,
    shows: bool,
    stopper: Stopper,
    further_callbacks: Sequence[Callback],
) -> TrainResult:
    num_samples = len(bags.labelled)
    count = process_count(config, processes)
    checkpoint, first_step = None, 0
    if config.resume:
        checkpoint, first_step = resumable_checkpoint(config, num_samples, count)
    if processes.rank == 0:
        _save_config(config)
        remove_partial_checkpoints(config.out)
    if count > 1:
        synchronize_batch_norms(model, runs_on_gpu(config))
    module, data = make_module(model, config), make_data(bags, config)
    progress = StepProgress(shows)
    keeper = CheckpointKeeper(config, num_samples, count, start)
    callbacks: list[Callback] = [stopper, progress, keeper, *further_callbacks]
    trainer = make_trainer(config, callbacks, processes, bool(bags.validation), first_step)
    fit(trainer, module, data, checkpoint, stopper, progress, keeper)
    minutes = keeper.minutes
    weights = config.out / WEIGHTS_NAME
    with told(trainer, keeper):
        metrics = _final_metrics(trainer, module, data) if bags.validation else {}
        calibration = _calibration(module, bags.validation) if bags.validation else {}
        if trainer.is_global_zero:
            steps = trainer.global_step
            metadata = describe_run(config, bags, steps, minutes, metrics, keeper.start)
            save_weights(weights, module.model, metadata | calibration)
    return TrainResult(weights, trainer.global_step, metrics)


def _final_metrics(trainer: Trainer, module: SegnetModule, data: SegnetData) -> dict[str, float]:
    """Of the weights that are exported."""
    results = trainer.validate(module, datamodule=data, verbose=False)
    return {
        name.split("/")[1]: value
        for name, value in results[0].items()
        if math.isfinite(value)  # a region may hold no vehicle at all
    }


def _calibration(module: SegnetModule, validation: Sequence[PreparedBag]) -> dict[str, object]:
    """How sure the exported weights may be, for their metadata; from the last validation."""
    names = [str(bag.description["bag"]) for bag in validation]
    try:
        return {CALIBRATION_KEY: calibration_values(module.logits, names)}
    except BevError as error:
        _LOGGER.warning("the probabilities are not calibrated: %s", error)
        return {}


def _initial_model(config: TrainConfig) -> tuple[Segnet, dict[str, Any]]:
    """The network, and where its weights come from; a resumed run has both in its checkpoint."""
    if config.init_weights is None or config.resume:
        return Segnet(config.model), {}
    model, metadata = load_weights(resolve_weights(str(config.init_weights)))
    try:
        return adapted(model, config.model).train(), described_start(metadata)
    except ConfigurationError as error:
        raise ConfigurationError(f"init_weights {config.init_weights}: {error}") from error


def _save_config(config: TrainConfig) -> None:
    text = yaml.safe_dump(config.to_dict(), sort_keys=False)
    partial = config.out / f".{CONFIG_NAME}.partial"
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, config.out / CONFIG_NAME)  # resuming needs it: never half there
    finally:
        partial.unlink(missing_ok=True)


def _quieten_lightning() -> None:
    """Leaves out advice about things that are meant: no workers, one device, no trainer bar."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for pattern in (
        ".*does not have many workers.*",
        ".*GPU available but not used.*",
        ".*Checkpoint directory.*",
        ".*TensorBoardLogger.*",
        ".*isinstance.treespec.*",
        ".*broadcast_buffers. is deprecated.*",
    ):
        warnings.filterwarnings("ignore", pattern)
