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
from bev_perception.model.sensor_map import check_point_sensor
from bev_perception.training.augmentation import AugmentationConfig
from bev_perception.training.loss_config import LossConfig
from bev_perception.training.semi_supervised.config import SemiSupervisedConfig
from bev_perception.training.semi_supervised.label_split import LABELLED_UNITS
from bev_perception.training.sequences.config import SequenceConfig

PRECISIONS = ("auto", "fp32", "bf16")
SCHEDULES = ("onecycle", "constant")


@dataclass(frozen=True)
class DataConfig:
    """Which bags, and how they are read.

    Attributes:
        train: bags or folders of bags to learn from.
        validation: bags or folders of bags to watch; none is allowed.
        unlabelled: bags or folders of bags to learn from without labels; see semi_supervised.
        labelled_fraction: share of train whose labels are used, drawn by the seed; the rest
            counts as unlabelled.
        labelled_unit: "drive", a share of the drives; "set", as many camera sets, evenly far
            apart, spread over all drives.
        cache_dir: where prepared bags are kept; default "prepared" in the output folder.
        rig_file: rig file for bags that need one.
        stride: use every stride-th labelled set, and of unlabelled every stride-th camera set.
        max_validation_sets: at most this many, spread over the validation bags.
        extraction_processes: bags prepared at a time.
        workers: processes that load batches; 0 loads between steps, best on few cores.
    """

    train: tuple[Path, ...] = ()
    validation: tuple[Path, ...] = ()
    unlabelled: tuple[Path, ...] = ()
    labelled_fraction: float = 1.0
    labelled_unit: str = "drive"
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
        if not 0.0 < self.labelled_fraction <= 1.0:
            raise ConfigurationError(
                f"labelled_fraction must be more than 0 and at most 1, got {self.labelled_fraction}"
            )
        if self.labelled_unit not in LABELLED_UNITS:
            raise ConfigurationError(
                f"unknown labelled_unit {self.labelled_unit!r}, expected one of "
                f"{', '.join(LABELLED_UNITS)}"
            )
        if self.workers < 0:
            raise ConfigurationError(f"workers must not be negative, got {self.workers}")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW and its schedule.

    Attributes:
        learning_rate: the schedule's peak.
        weight_decay: of AdamW.
        schedule: "onecycle" (the rate rises linearly, then falls linearly to almost nothing) or
            "constant".
        warmup_fraction: share of the steps on which the rate of "onecycle" rises.
        clip_norm: largest norm of the gradient.
        ema_decay: decay per step of the averaged weights that are validated and exported;
            None exports the last weights.
    """

    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    schedule: str = "onecycle"
    warmup_fraction: float = 0.05
    clip_norm: float = 5.0
    ema_decay: float | None = 0.998

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.weight_decay < 0 or self.clip_norm <= 0:
            raise ConfigurationError(
                f"learning_rate and clip_norm must be positive and weight_decay not negative, got "
                f"{self.learning_rate}, {self.clip_norm}, {self.weight_decay}"
            )
        if self.schedule not in SCHEDULES:
            raise ConfigurationError(
                f"unknown schedule {self.schedule!r}, expected one of {', '.join(SCHEDULES)}"
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
        losses: what is minimised.
        semi_supervised: how samples without labels are learned from.
        sequences: windows of consecutive sets, which networks with memory learn from.
        optimizer: how weights change.
        batch_size: samples per step and process.
        accumulate: batches whose gradients are averaged into one step.
        max_steps: steps of the whole schedule.
        max_minutes: stop cleanly after this time, preparing bags included, even if steps remain;
            the last validation comes on top. The run can be resumed.
        validate_every: steps between validations.
        checkpoint_every: steps between checkpoints.
        log_every: steps between scalars in the TensorBoard files.
        picture_every: steps between pictures of training samples there; validation draws its own.
        precision: "auto" (bf16 where the hardware is quick at it), "fp32" or "bf16".
        accelerator: Lightning's name of the hardware: auto, cpu, gpu.
        devices: how many processes of this machine train together, or which GPUs, as in [0, 2];
            default one process on a CPU, all GPUs. Under torchrun it decides instead.
        seed: of weights, order and augmentation.
        init_weights: a file or the name of shipped weights to start from instead of random ones; of
            the same model, but for its image size, grid and memory, which then begins as one that
            changes nothing.
        resume: go on from the last checkpoint in the output folder.
    """

    out: Path = Path("out/train")
    data: DataConfig = field(default_factory=DataConfig)
    model: SegnetConfig = field(default_factory=tiny_config)
    targets: TargetSettings = field(default_factory=TargetSettings)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    semi_supervised: SemiSupervisedConfig = field(default_factory=SemiSupervisedConfig)
    sequences: SequenceConfig = field(default_factory=SequenceConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    batch_size: int = 4
    accumulate: int = 1
    max_steps: int = 6000
    max_minutes: float | None = None
    validate_every: int = 500
    checkpoint_every: int = 250
    log_every: int = 20
    picture_every: int = 500
    precision: str = "auto"
    accelerator: str = "auto"
    devices: int | tuple[int, ...] | None = None
    seed: int = 0
    init_weights: Path | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.devices is not None and not _are_devices(self.devices):
            raise ConfigurationError(
                f"devices must be a number of at least 1, or a list of different GPUs such as "
                f"[0, 1], got {self.devices}"
            )
        if self.max_minutes is not None and self.max_minutes <= 0:
            raise ConfigurationError(f"max_minutes must be positive, got {self.max_minutes}")
        if self.precision not in PRECISIONS:
            raise ConfigurationError(
                f"unknown precision {self.precision!r}, expected one of {', '.join(PRECISIONS)}"
            )
        if self.losses.depth_weight > 0.0 and self.model.lift != "depth":
            raise ConfigurationError(
                f"losses.depth_weight {self.losses.depth_weight:g} teaches the depths of lift "
                f"depth, but model.lift is {self.model.lift}; leave it 0"
            )
        if self.losses.depth_weight > 0.0 and self.semi_supervised.method != "none":
            raise ConfigurationError(
                f"losses.depth_weight {self.losses.depth_weight:g} is a term of learning from "
                f"labels alone, and semi_supervised.method {self.semi_supervised.method} leaves it "
                f"out; set one of them to 0 or none"
            )
        others = [
            f"{name} {share:g}"
            for name, share in self.losses.segmentation_shares.items()
            if share > 0.0 and name != "cross_entropy"
        ]
        if others and self.semi_supervised.uses_unlabelled:
            raise ConfigurationError(
                f"semi_supervised.method {self.semi_supervised.method} teaches guesses by cross "
                f"entropy or squares, in the balance that labels have found for their losses; "
                f"set losses.{' and '.join(others)} to 0"
            )
        if self.data.unlabelled and not self.semi_supervised.uses_unlabelled:
            raise ConfigurationError(
                f"data.unlabelled is given, but semi_supervised.method "
                f"{self.semi_supervised.method} learns from labels alone; choose mixmatch, "
                f"remixmatch or fixmatch"
            )
        self._check_sequences()
        self._check_sensor()
        if self.semi_supervised.turn_weight and self.augmentation.turn_steps > 1:
            raise ConfigurationError(
                f"semi_supervised.turn_weight asks how vehicles were turned, and "
                f"augmentation.turn_steps {self.augmentation.turn_steps} turns them unsaid; leave "
                f"turn_weight 0 or turn_steps 1"
            )

    def _check_sensor(self) -> None:
        if self.model.sensor == "none":
            if self.augmentation.cloud_dropout > 0.0:
                raise ConfigurationError(
                    f"augmentation.cloud_dropout {self.augmentation.cloud_dropout:g} loses point "
                    f"clouds, but model.sensor is none; leave it 0, or choose a sensor"
                )
            return
        check_point_sensor(self.model)
        if self.losses.depth_weight > 0.0 and self.model.sensor != "lidar":
            raise ConfigurationError(
                f"losses.depth_weight {self.losses.depth_weight:g} is taught by LiDAR points, but "
                f"model.sensor is {self.model.sensor}, and a sample has points of one sensor"
            )
        if self.semi_supervised.method != "none":
            raise ConfigurationError(
                f"semi_supervised.method {self.semi_supervised.method} takes images alone, but "
                f"model.sensor is {self.model.sensor}; leave one of them none"
            )

    def _check_sequences(self) -> None:
        if self.model.memory.is_on and not self.sequences.uses_windows:
            raise ConfigurationError(
                f"model.memory.kind {self.model.memory.kind} learns from sets before the judged "
                f"one; give sequences.history (3, for example) or sequences.graded more than 1"
            )
        if self.sequences.uses_windows and self.semi_supervised.method != "none":
            raise ConfigurationError(
                f"semi_supervised.method {self.semi_supervised.method} takes single sets, and "
                f"sequences asks for windows of {self.sequences.length}; choose one of them"
            )
        if (
            self.sequences.uses_windows
            and self.data.labelled_unit == "set"
            and self.data.labelled_fraction < 1.0
        ):
            raise ConfigurationError(
                f"sequences asks for windows of {self.sequences.length} consecutive sets, and "
                f"data.labelled_unit set leaves labels to sets far apart; use labelled_unit drive"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML and JSON; paths become strings."""
        values = _plain(asdict(self))
        values["model"] = self.model.to_dict()
        return values


_COUNTS = (
    "batch_size",
    "accumulate",
    "max_steps",
    "validate_every",
    "checkpoint_every",
    "log_every",
    "picture_every",
)


def _are_devices(devices: int | tuple[int, ...]) -> bool:
    if isinstance(devices, int):
        return devices >= 1
    return bool(devices) and min(devices) >= 0 and len(set(devices)) == len(devices)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
