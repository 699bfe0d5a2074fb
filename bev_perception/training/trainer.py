# SPDX-License-Identifier: Apache-2.0
"""Lightning's trainer for one run: hardware, precision, processes, logs."""

from __future__ import annotations

from typing import Literal

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from bev_perception import processor
from bev_perception.errors import ConfigurationError
from bev_perception.training.callbacks import AveragedWeights
from bev_perception.training.checkpoint_file import DurableCheckpointIO
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.distributed import Processes

TENSORBOARD_FOLDER = "tensorboard"


def make_trainer(
    config: TrainConfig,
    callbacks: list[Callback],
    processes: Processes,
    validates: bool,
    first_step: int = 0,
) -> Trainer:
    """The trainer.

    Args:
        config: the run.
        callbacks: in order; averaging of weights is added here.
        processes: those of torchrun, if it started this one.
        validates: whether there are validation sets.
        first_step: where the run goes on; later points of the logs are of steps that a stopped
            run did in vain.
    """
    if config.optimizer.ema_decay is not None:
        # First, so that the keeper, which comes last, saves what the others did in this step.
        callbacks = [AveragedWeights(config.optimizer.ema_decay), *callbacks]
    interval = config.validate_every * config.accumulate
    return Trainer(
        accelerator=config.accelerator,
        devices=_devices(config, processes),
        num_nodes=processes.machines,
        # Buffers need no broadcast: batch norms are joined, so they are alike everywhere.
        strategy=DDPStrategy(broadcast_buffers=False)
        if process_count(config, processes) > 1
        else "auto",
        precision=precision_for(config),
        max_epochs=-1,
        max_steps=config.max_steps,
        accumulate_grad_batches=config.accumulate,
        callbacks=callbacks,
        logger=TensorBoardLogger(
            config.out, name="", version=TENSORBOARD_FOLDER, purge_step=first_step or None
        ),
        log_every_n_steps=config.log_every,
        val_check_interval=interval if validates else None,
        check_val_every_n_epoch=None if validates else 1,
        limit_val_batches=None if validates else 0,
        num_sanity_val_steps=0,
        plugins=[DurableCheckpointIO()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=config.out,
    )


def runs_on_gpu(config: TrainConfig) -> bool:
    """Whether the trainer will choose CUDA."""
    return torch.cuda.is_available() and config.accelerator != "cpu"


def process_count(config: TrainConfig, processes: Processes) -> int:
    """How many processes train together: torchrun's, or those that Lightning will start."""
    if processes.launched:
        return processes.count
    devices = _devices(config, processes)
    if devices == "auto":
        return max(torch.cuda.device_count(), 1)
    return devices if isinstance(devices, int) else len(devices)


def _devices(config: TrainConfig, processes: Processes) -> int | str | list[int]:
    """Lightning's devices.

    Raises:
        ConfigurationError: the run asks for GPUs that are not there.
    """
    if processes.launched:
        return processes.local_count
    if config.devices is None:
        return "auto" if runs_on_gpu(config) else 1
    if not runs_on_gpu(config):
        if isinstance(config.devices, int):
            return config.devices
        raise ConfigurationError(
            f"devices {list(config.devices)} names GPUs, but this run is on the processor; give a "
            f"number of processes, or leave devices out"
        )
    numbers = range(config.devices) if isinstance(config.devices, int) else config.devices
    if max(numbers) >= torch.cuda.device_count():
        raise ConfigurationError(
            f"devices asks for GPU {max(numbers)}, but torch sees {torch.cuda.device_count()}"
        )
    return list(numbers)


def precision_for(config: TrainConfig) -> Literal["32-true", "bf16-mixed"]:
    """Lightning's precision: bf16 autocast where asked for, or where the hardware has it."""
    if config.precision == "auto":
        on_gpu = runs_on_gpu(config)
        quick = torch.cuda.is_bf16_supported() if on_gpu else processor.is_quick_in_bf16()
        return "bf16-mixed" if quick else "32-true"
    return "bf16-mixed" if config.precision == "bf16" else "32-true"
