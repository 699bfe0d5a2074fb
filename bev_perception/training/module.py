# SPDX-License-Identifier: Apache-2.0
"""Segnet in Lightning's hands: losses, metrics, optimiser and schedule."""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from bev_perception.evaluation import GridIou
from bev_perception.model import Segnet, SegnetOutput
from bev_perception.training.batch import Batch
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.losses import (
    UncertaintyWeighting,
    center_loss,
    offset_loss,
    segmentation_loss,
)

PICTURED_SAMPLES = 4


class SegnetModule(LightningModule):
    """Trains a Segnet.

    Args:
        model: the network, changed in place.
        config: the run.
    """

    def __init__(self, model: Segnet, config: TrainConfig) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weighting = UncertaintyWeighting()
        self.iou = GridIou(model.config.grid)
        self.config = config

    def forward(self, batch: Batch) -> SegnetOutput:
        """The network's answer to a batch."""
        return self.model(batch.images, batch.taps, with_feature=False)

    def losses(self, output: SegnetOutput, batch: Batch) -> dict[str, Tensor]:
        """The three terms and their weighted total, scalars."""
        center_mask = batch.valid if self.config.optimizer.mask_center else None
        segmentation = segmentation_loss(output.segmentation, batch.segmentation, batch.valid)
        center = center_loss(output.center, batch.center, center_mask)
        offset = offset_loss(output.offset, batch.offset, batch.segmentation, batch.valid)
        return {
            "segmentation": segmentation,
            "center": center,
            "offset": offset,
            "total": self.weighting(segmentation, center, offset),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Total loss of a batch."""
        losses = self.losses(self(batch), batch)
        self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        names = ("w_segmentation", "w_center", "w_offset")
        weights = self.weighting.log_variances.detach()
        self.log_dict({f"weighting/{name}": value for name, value in zip(names, weights)})
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        return losses["total"]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Counts cells and losses of a batch."""
        output = self(batch)
        probability = output.segmentation.sigmoid()
        self.iou.update(probability, batch.segmentation, batch.valid)
        losses = self.losses(output, batch)
        self.log_dict(
            {f"validation/{name}": value for name, value in losses.items()},
            batch_size=len(batch),
            sync_dist=True,
        )
        if batch_idx == 0:
            self._picture(probability, batch)

    def on_validation_epoch_end(self) -> None:
        """Logs IoU by region."""
        for name, value in self.iou.compute().items():
            self.log(f"validation/iou_{name}", value.float(), prog_bar=name == "within_25m")
        self.iou.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with the rate rising linearly, then falling linearly."""
        settings = self.config.optimizer
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=settings.learning_rate,
            total_steps=self.config.max_steps + 1,  # the scheduler also steps after the last one
            pct_start=settings.warmup_fraction,
            anneal_strategy="linear",
            cycle_momentum=False,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _picture(self, probability: Tensor, batch: Batch) -> None:
        """Probability beside truth, forward up and left to the left; grey is not counted."""
        if not isinstance(self.logger, TensorBoardLogger):
            return
        grey = torch.full_like(batch.valid, 0.5)
        truth = torch.where(batch.valid > 0.5, batch.segmentation, grey)
        rows = torch.cat([probability.float(), truth], dim=3)[:PICTURED_SAMPLES, 0]
        halves = [half.transpose(1, 2).flip(1, 2) for half in rows.chunk(2, dim=2)]
        picture = torch.cat(halves, dim=2).flatten(0, 1)[None]
        self.logger.experiment.add_image("validation/probability_truth", picture, self.global_step)
