# SPDX-License-Identifier: Apache-2.0
"""The averaged network that guesses what a person has not labelled.

Source: Tarvainen and Valpola, "Mean teachers are better role models", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from bev_perception.model import Segnet
from bev_perception.training.averaging import move_average
from bev_perception.training.semi_supervised.labels import TaughtCells
from bev_perception.training.semi_supervised.unlabelled_data import Sights


class Teacher(nn.Module):
    """A network that follows another one.

    Args:
        student: that it follows.
        decay: of the average, per step.
    """

    def __init__(self, student: Segnet, decay: float) -> None:
        super().__init__()
        self._average = AveragedModel(
            student, multi_avg_fn=partial(move_average, decay=decay), use_buffers=True
        )
        self.requires_grad_(False)

    def follow(self, student: Segnet) -> None:
        """One step towards the student's weights of now."""
        self._average.update_parameters(student)

    @torch.no_grad()
    def guess(self, variations: Sequence[Sights]) -> TaughtCells:
        """Mean of what it says of several variations of the same B moments.

        Cells are valid that all variations see.
        """
        self._average.eval()
        answers = [
            self._average(sights.images, sights.taps, with_feature=False) for sights in variations
        ]
        seen = torch.stack([sights.seen for sights in variations]).amin(dim=0)
        return TaughtCells(
            torch.stack([answer.segmentation.sigmoid() for answer in answers]).mean(dim=0),
            seen,
            torch.stack([answer.center for answer in answers]).mean(dim=0),
            torch.stack([answer.offset for answer in answers]).mean(dim=0),
        )
