# SPDX-License-Identifier: Apache-2.0
"""Segnet in Lightning's hands: losses, metrics, optimiser and schedule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from bev_perception.errors import TrainingError
from bev_perception.evaluation.grid_iou import GridIou
from bev_perception.evaluation.temperature import LogitHistogram
from bev_perception.model import Segnet, SegnetOutput
from bev_perception.training.batch import Batch
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.depth_supervision import DepthSupervision
from bev_perception.training.losses import make_weighting, total_losses
from bev_perception.training.pictures import batch_picture

TERMS = ("segmentation", "center", "offset")


class SegnetModule(LightningModule):
    """Trains a Segnet.

    Args:
        model: the network, changed in place.
        config: the run.
    """

    def __init__(self, model: Segnet, config: TrainConfig) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if model.feature_head is not None:
            model.feature_head.requires_grad_(False)  # no loss reaches it
        self.weighting = make_weighting(config.losses)
        self.iou = GridIou(model.config.grid)
        self.logits = LogitHistogram()
        classes = model.config.classes if model.config.num_classes > 1 else ()
        self.class_iou = nn.ModuleDict({name: GridIou(model.config.grid) for name in classes})
        self._depths = DepthSupervision(model) if config.losses.depth_weight > 0.0 else None
        names = (
            *TERMS,
            "total",
            *(("depth",) if self._depths else ()),
            *(f"segmentation_{name}" for name in classes),
        )
        self.validation_losses = nn.ModuleDict({name: MeanMetric() for name in names})
        self.config = config
        self._last_losses: dict[str, Tensor] = {}

    def forward(self, batch: Batch) -> SegnetOutput:
        """The network's answer to a batch."""
        return self.model(batch.images, batch.taps, with_feature=False, sensor_map=batch.sensor_map)

    def losses(self, output: SegnetOutput, batch: Batch) -> dict[str, Tensor]:
        """The terms and their weighted total, scalars; of the network's last answer."""
        classes = self.model.config.classes
        losses = total_losses(output, batch, self.config.losses, self.weighting, classes)
        if self._depths is not None and batch.depth is not None:
            losses["depth"] = self._depths.loss(batch.depth)
            losses["total"] = losses["total"] + self.config.losses.depth_weight * losses["depth"]
        return losses

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Total loss of a batch."""
        output = self(batch)
        losses = self.losses(output, batch)
        self.note_step(losses, output, batch, batch_idx)
        return losses["total"]

    def note_step(
        self, losses: dict[str, Tensor], output: SegnetOutput, batch: Batch, batch_idx: int
    ) -> None:
        """Logs a step's losses, and now and then a picture of the answer to its batch."""
        self._last_losses = {name: value.detach() for name, value in losses.items()}
        self.log_dict({f"train/{name}": value for name, value in self._last_losses.items()})
        weights = self.weighting.log_variances.detach()
        self.log_dict({f"weighting/w_{name}": value for name, value in zip(TERMS, weights)})
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        if batch_idx % (self.config.picture_every * self.config.accumulate) == 0:
            self._picture("train", output, batch)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Limits the gradient's norm; one that is not finite would spoil every weight.

        Raises:
            TrainingError: it is not finite; the weights are as they were.
        """
        limit = self.config.optimizer.clip_norm
        norm = nn.utils.clip_grad_norm_(self.parameters(), limit)
        if not torch.isfinite(norm):
            terms = ", ".join(f"{name} {float(v):.4g}" for name, v in self._last_losses.items())
            raise TrainingError(
                f"step {self.global_step + 1}: the gradient's norm is {float(norm)} (losses of "
                f"this process: {terms}); look for labels or images that are not finite, or "
                f"lower optimizer.learning_rate"
            )
        self.log("gradient_norm", norm)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Counts cells and losses of a batch."""
        output = self(batch)
        self.iou.update(output.occupancy, batch.occupied, batch.valid)
        seen = torch.from_numpy(batch.taps.seen).to(batch.valid.device)[:, None]
        logits = output.segmentation.amax(dim=1, keepdim=True)
        self.logits.update(logits, batch.occupied, batch.valid * seen)
        for channel, iou in enumerate(self.class_iou.values()):
            probability = output.segmentation[:, channel].sigmoid()
            cast(GridIou, iou).update(probability, batch.segmentation[:, channel], batch.valid)
        losses = self.losses(output, batch)
        for name, mean in self._means():
            if name in losses:
                mean.update(losses[name], weight=len(batch))
        if batch_idx == 0:
            self._picture("validation", output, batch)

    def on_validation_epoch_start(self) -> None:
        """Forgets the logits of earlier weights."""
        self.logits.reset()

    def on_validation_epoch_end(self) -> None:
        """Logs IoU by region and losses, of the samples of all processes."""
        for name, value in self.iou.compute().items():
            self.log(f"validation/iou_{name}", value.float(), prog_bar=name == "within_25m")
        for label, iou in self.class_iou.items():
            for name, value in cast(GridIou, iou).compute().items():
                self.log(f"validation/iou_{label}_{name}", value.float())
            cast(GridIou, iou).reset()
        for name, mean in self._means():
            self.log(f"validation/{name}", mean.compute())
            mean.reset()
        self.iou.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, the rate rising linearly, then falling linearly, or constant."""
        settings = self.config.optimizer
        optimizer = torch.optim.AdamW(
            (parameter for parameter in self.parameters() if parameter.requires_grad),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        if settings.schedule == "constant":
            return {"optimizer": optimizer}
        total = self.config.max_steps + 1  # the scheduler also steps after the last one
        rise = settings.warmup_fraction
        if math.isclose(rise * total, 1.0):
            rise *= 1.001  # OneCycleLR would divide by its last step, which is 0
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=settings.learning_rate,
            total_steps=total,
            pct_start=rise,
            anneal_strategy="linear",
            cycle_momentum=False,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _means(self) -> Iterator[tuple[str, MeanMetric]]:
        for name, mean in self.validation_losses.items():
            yield name, cast(MeanMetric, mean)

    def _picture(self, name: str, output: SegnetOutput, batch: Batch) -> None:
        """See training.pictures."""
        if isinstance(self.logger, TensorBoardLogger) and self.trainer.is_global_zero:
            picture = batch_picture(batch, output, self.model.config.grid)
            writer: Any = self.logger.experiment
            writer.add_image(f"{name}/samples", picture, self.global_step, dataformats="HWC")
