# SPDX-License-Identifier: Apache-2.0
"""``bev train``: from bags to weights."""

from __future__ import annotations

import logging
import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import yaml
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger

from bev_perception.datasets.preparation import ExtractionSettings, find_bags, prepare_bags
from bev_perception.datasets.prepared_bag import PreparedBag
from bev_perception.errors import ConfigurationError
from bev_perception.model import Segnet, load_weights, save_weights
from bev_perception.training.callbacks import AveragedWeights, StepProgress, Stopper
from bev_perception.training.checkpoint import CheckpointKeeper, check_resumable
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.data_module import SegnetData
from bev_perception.training.dataset import SegnetDataset
from bev_perception.training.module import SegnetModule
from bev_perception.training.provenance import describe_run

WEIGHTS_NAME = "weights.safetensors"
CHECKPOINT_NAME = "last.ckpt"

logger = logging.getLogger(__name__)


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


def train(config: TrainConfig, show_progress: bool = True) -> TrainResult:
    """Trains and exports weights; see TrainConfig.

    Raises:
        BevError: bags, weights or configuration cannot be used.
        KeyboardInterrupt: Ctrl-C; the checkpoint is written before, resume goes on from it.
    """
    checkpoint = _checked_checkpoint(config)
    seed_everything(config.seed, verbose=False)
    model = _initial_model(config)  # before the bags, so that unfit weights cost no time
    train_bags, validation_bags = _prepared(config, show_progress)
    num_samples = sum(len(bag) for bag in train_bags)
    if config.resume:
        check_resumable(checkpoint, config, num_samples)
    config.out.mkdir(parents=True, exist_ok=True)
    _save_config(config)
    with warnings.catch_warnings():
        _quieten_lightning()
        module = SegnetModule(model, config)
        data = SegnetData(
            SegnetDataset(
                train_bags, config.model, config.targets, config.augmentation, config.seed
            ),
            SegnetDataset(validation_bags, config.model, config.targets),
            config,
        )
        stopper = Stopper(config.max_minutes)
        progress = StepProgress(show_progress)
        keeper = CheckpointKeeper(checkpoint, config, num_samples)
        trainer = _trainer(config, [stopper, progress, keeper], bool(validation_bags))
        started = time.monotonic()
        _fit(trainer, module, data, checkpoint if config.resume else None, stopper, progress)
        minutes = (time.monotonic() - started) / 60.0
        metrics: dict[str, float] = {}
        if validation_bags:
            results = trainer.validate(module, datamodule=data, verbose=False)
            metrics = {
                name.split("/")[1]: value
                for name, value in results[0].items()
                if math.isfinite(value)  # a region may hold no vehicle at all
            }
    weights = config.out / WEIGHTS_NAME
    if trainer.is_global_zero:
        metadata = describe_run(
            config, train_bags, validation_bags, trainer.global_step, minutes, metrics
        )
        save_weights(weights, module.model, metadata)
    return TrainResult(weights, trainer.global_step, metrics)


def precision_for(config: TrainConfig) -> Literal["32-true", "bf16-mixed"]:
    """Lightning's precision: bf16 autocast where asked for, or where the hardware has it."""
    if config.precision == "auto":
        on_gpu = torch.cuda.is_available() and config.accelerator != "cpu"
        quick = torch.cuda.is_bf16_supported() if on_gpu else _cpu_has_bf16()
        return "bf16-mixed" if quick else "32-true"
    return "bf16-mixed" if config.precision == "bf16" else "32-true"


def _cpu_has_bf16() -> bool:
    """Whether matrix products in bf16 are quicker than in fp32 on this processor."""
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def _checked_checkpoint(config: TrainConfig) -> Path:
    checkpoint = config.out / CHECKPOINT_NAME
    if config.resume:
        check_resumable(checkpoint, config)
    if not config.resume and checkpoint.exists():
        raise ConfigurationError(
            f"{config.out} holds a training already ({CHECKPOINT_NAME}); give --resume true to go "
            f"on with it, or another --out"
        )
    return checkpoint


def _prepared(
    config: TrainConfig, show_progress: bool
) -> tuple[list[PreparedBag], list[PreparedBag]]:
    if not config.data.train:
        raise ConfigurationError("no bags to train on; name bags or folders in data.train")
    train_paths = find_bags(config.data.train)
    validation_paths = find_bags(config.data.validation) if config.data.validation else []
    shared = {path.resolve() for path in train_paths} & {
        path.resolve() for path in validation_paths
    }
    if shared:
        raise ConfigurationError(
            f"{len(shared)} bags are in data.train and in data.validation, for example "
            f"{sorted(shared)[0]}; the splits must be disjoint"
        )
    settings = ExtractionSettings(config.model.image_size, config.data.stride, config.data.rig_file)
    cache = config.data.cache_dir or config.out / "prepared"
    bags = prepare_bags(
        [*train_paths, *validation_paths],
        cache,
        settings,
        config.data.extraction_processes,
        show_progress,
    )
    return bags[: len(train_paths)], bags[len(train_paths) :]


def _initial_model(config: TrainConfig) -> Segnet:
    if config.init_weights is None:
        return Segnet(config.model)
    model, _ = load_weights(config.init_weights)
    if model.config != config.model:
        raise ConfigurationError(
            f"weights {config.init_weights} are for another model configuration: "
            f"{model.config} instead of {config.model}"
        )
    return model.train()


def _trainer(config: TrainConfig, callbacks: list[Callback], validates: bool) -> Trainer:
    if config.optimizer.ema_decay is not None:
        # First, so that the keeper, which comes last, saves what the others did in this step.
        callbacks = [AveragedWeights(config.optimizer.ema_decay), *callbacks]
    interval = config.validate_every * config.accumulate
    return Trainer(
        accelerator=config.accelerator,
        precision=precision_for(config),
        max_epochs=-1,
        max_steps=config.max_steps,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.optimizer.clip_norm,
        callbacks=callbacks,
        logger=TensorBoardLogger(config.out, name="", version="tensorboard"),
        log_every_n_steps=20,
        val_check_interval=interval if validates else None,
        check_val_every_n_epoch=None if validates else 1,
        limit_val_batches=None if validates else 0,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=config.out,
    )


def _fit(
    trainer: Trainer,
    module: SegnetModule,
    data: SegnetData,
    checkpoint: Path | None,
    stopper: Stopper,
    progress: StepProgress,
) -> None:
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # how Lightning answers Ctrl-C
            raise KeyboardInterrupt from error
        raise
    finally:
        stopper.close()
        progress.close()
    if stopper.interrupted:
        logger.warning("stopped at step %d; --resume true goes on from here", trainer.global_step)
        raise KeyboardInterrupt


def _save_config(config: TrainConfig) -> None:
    text = yaml.safe_dump(config.to_dict(), sort_keys=False)
    (config.out / "config.yaml").write_text(text, encoding="utf-8")


def _quieten_lightning() -> None:
    """Leaves out advice about things that are meant: no workers, one device, no trainer bar."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for pattern in (
        ".*does not have many workers.*",
        ".*GPU available but not used.*",
        ".*Checkpoint directory.*",
        ".*TensorBoardLogger.*",
        ".*isinstance.treespec.*",
    ):
        warnings.filterwarnings("ignore", pattern)
