# SPDX-License-Identifier: Apache-2.0
"""Segnet in Lightning's hands, taught by windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import MeanMetric

from bev_perception.evaluation.velocity_error import MOVING_M_PER_S
from bev_perception.model import Segnet, SegnetOutput
from bev_perception.model.feature_memory import FeatureMemory, MemoryStep
from bev_perception.training.batch import Batch
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.losses import masked_mean
from bev_perception.training.module import SegnetModule
from bev_perception.training.sequences.config import SequenceConfig
from bev_perception.training.sequences.window_batch import WindowBatch


class WindowModule(SegnetModule):
    """Trains a Segnet, with or without memory, on windows.

    The loss is the mean over the graded sets. Validation judges the last set of each window.

    Args:
        model: the network, changed in place.
        config: the run.
    """

    def __init__(self, model: Segnet, config: TrainConfig) -> None:
        super().__init__(model, config)
        if model.memory is not None:
            self.validation_losses["velocity"] = MeanMetric()

    def forward(self, batch: Batch) -> SegnetOutput:
        """The network's answer to the last sets of a batch of windows."""
        *_, last = answers(self.model, cast(WindowBatch, batch))
        return last

    def losses(self, output: SegnetOutput, batch: Batch) -> dict[str, Tensor]:
        """See SegnetModule; of a network with memory also ``velocity``."""
        losses = super().losses(output, batch)
        window = cast(WindowBatch, batch)
        if output.velocity is None or window.velocity is None or window.velocity_known is None:
            return losses
        sequences = self.config.sequences
        term = velocity_loss(
            output.velocity, window.velocity, window.velocity_known, sequences.velocity_beta
        )
        total = losses["total"] + sequences.velocity_weight * term
        return {**losses, "velocity": term, "total": total}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean of the total losses of the graded sets."""
        window = cast(WindowBatch, batch)
        every = []
        # Each loss before the next answer: that of depths listens to the network's last one.
        for step, output in zip(window.steps, answers(self.model, window)):
            every.append(self.losses(output, step))
        losses = {name: torch.stack([one[name] for one in every]).mean() for name in every[0]}
        self.note_step(losses, output, batch, batch_idx)
        return losses["total"]


def answers(model: Segnet, batch: WindowBatch) -> Iterator[SegnetOutput]:
    """The network's answers to the graded sets, oldest first, each with what it remembers."""
    memories = [FeatureMemory(model.config.memory) for _ in range(len(batch))]
    if model.memory is not None:
        with torch.no_grad():
            for past in batch.history:
                step = MemoryStep(memories, past.moments)
                model.observe(past.images, past.taps, step, past.sensor_map)
        # Older torch keeps weights that autocast converted here, without their gradients.
        torch.clear_autocast_cache()
    for graded in batch.steps:
        yield model(
            graded.images,
            graded.taps,
            with_feature=False,
            sensor_map=graded.sensor_map,
            memory=MemoryStep(memories, graded.moments),
        )


def velocity_loss(
    velocity: Tensor, target: Tensor, known: Tensor, beta: float = SequenceConfig.velocity_beta
) -> Tensor:
    """Balanced masked smooth L1, scalar, metres per second.

    half the mean over moving cells, and half that over standing ones, of  s(vx - tx) + s(vy - ty)
    with s(e) = e^2 / (2 beta) up to beta, and |e| - beta / 2 beyond.

    Most vehicles stand; so neither they nor the few that move decide alone. The least L1 is that of
    a median, and the median of a vehicle that may stand or move either way is to stand: a network
    that cannot tell yet would learn nothing from it.

    Args:
        velocity, target: (B, 2, Y, X) metres per second.
        known: (B, 1, Y, X) of 0 and 1.
        beta: metres per second.
    """
    errors = functional.smooth_l1_loss(
        velocity.float(), target.float(), reduction="none", beta=beta
    )
    error = errors.sum(dim=1, keepdim=True)
    moves = known * (target.float().norm(dim=1, keepdim=True) > MOVING_M_PER_S)
    return 0.5 * (masked_mean(error, moves) + masked_mean(error, known - moves))
