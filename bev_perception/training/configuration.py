# SPDX-License-Identifier: Apache-2.0
"""A training run as data: what recipes hold and what is saved beside the weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bev_perception.datasets.targets import TargetSettings
from bev_perception.errors import ConfigurationError
from bev_perception.model import SegnetConfig
from bev_perception.model.presets import tiny_config
from bev_perception.training.augmentation import AugmentationConfig

PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class DataConfig:
    """Which bags, and how they are read.

    Attributes:
        train: bags or folders of bags to learn from.
        validation: bags or folders of bags to watch; none is allowed.
        cache_dir: where prepared bags are kept; default "prepared" in the output folder.
        rig_file: rig file for bags that need one.
        stride: use every stride-th camera set.
        max_validation_sets: at most this many, spread over the validation bags.
        extraction_processes: bags prepared at a time.
        workers: processes that load batches; 0 loads between steps, best on few cores.
    """

    train: tuple[Path, ...] = ()
    validation: tuple[Path, ...] = ()
    cache_dir: Path | None = None
    rig_file: Path | None = None
    stride: int = 1
    max_validation_sets: int = 200
    extraction_processes: int = 2
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("stride", "max_validation_sets", "extraction_processes"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.workers < 0:
            raise ConfigurationError(f"workers must not be negative, got {self.workers}")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW under a linear OneCycle schedule.

    Attributes:
        learning_rate: the schedule's peak.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps on which the rate rises.
        clip_norm: largest norm of the gradient.
        ema_decay: decay per step of the averaged weights that are validated and exported;
            None exports the last weights.
        mask_center: leave cells of vehicles that are not visible out of the centre loss too;
            the published loss counts them.
    """

    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup_fraction: float = 0.05
    clip_norm: float = 5.0
    ema_decay: float | None = 0.998
    mask_center: bool = False

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.weight_decay < 0 or self.clip_norm <= 0:
            raise ConfigurationError(
                f"learning_rate and clip_norm must be positive and weight_decay not negative, got "
                f"{self.learning_rate}, {self.clip_norm}, {self.weight_decay}"
            )
        if not 0.0 < self.warmup_fraction < 1.0:
            raise ConfigurationError(
                f"warmup_fraction must lie between 0 and 1, got {self.warmup_fraction}"
            )
        if self.ema_decay is not None and not 0.0 <= self.ema_decay < 1.0:
            raise ConfigurationError(
                f"ema_decay must lie in 0 to 1 (1 excluded), got {self.ema_decay}"
            )


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a training run.

    Attributes:
        out: folder for weights, checkpoints, TensorBoard files and this configuration.
        data: the bags.
        model: the network; default the tiny preset.
        targets: how boxes become targets.
        augmentation: variations of the training samples.
        optimizer: how weights change.
        batch_size: samples per step and process.
        accumulate: batches whose gradients are averaged into one step.
        max_steps: steps of the whole schedule.
        max_minutes: stop cleanly after this time even if steps remain; the run can be resumed.
        validate_every: steps between validations.
        checkpoint_every: steps between checkpoints.
        precision: "auto" (bf16 where the hardware is quick at it), "fp32" or "bf16".
        accelerator: Lightning's name of the hardware: auto, cpu, gpu.
        seed: of weights, order and augmentation.
        init_weights: weights to start from instead of random ones.
        resume: go on from the last checkpoint in the output folder.
    """

    out: Path = Path("out/train")
    data: DataConfig = field(default_factory=DataConfig)
    model: SegnetConfig = field(default_factory=tiny_config)
    targets: TargetSettings = field(default_factory=TargetSettings)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    batch_size: int = 4
    accumulate: int = 1
    max_steps: int = 6000
    max_minutes: float | None = None
    validate_every: int = 500
    checkpoint_every: int = 250
    precision: str = "auto"
    accelerator: str = "auto"
    seed: int = 0
    init_weights: Path | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulate", "max_steps", "validate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_minutes is not None and self.max_minutes <= 0:
            raise ConfigurationError(f"max_minutes must be positive, got {self.max_minutes}")
        if self.precision not in PRECISIONS:
            raise ConfigurationError(
                f"unknown precision {self.precision!r}, expected one of {', '.join(PRECISIONS)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML and JSON; paths become strings."""
        values = _plain(asdict(self))
        values["model"] = self.model.to_dict()
        return values


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
