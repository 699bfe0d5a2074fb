# SPDX-License-Identifier: Apache-2.0
"""By how many quarter turns was the vehicle turned: a question that needs no label.

The equivalent of the rotation loss of Berthelot et al., "ReMixMatch", 2020, after Gidaris et al.,
"Unsupervised Representation Learning by Predicting Image Rotations", 2018. A turned image would be
one that no camera takes; a vehicle whose cameras turn with it sees what it saw before, elsewhere in
its bird's-eye view. The answer is read off the decoder's coarsest features, averaged over the grid.
(Its last ones are normalised over the grid: their mean tells nothing.)
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model import Segnet, SegnetConfig

QUARTERS = 4


class TurnTask(nn.Module):
    """Asks a network by how many quarter turns vehicles were turned.

    Args:
        config: of the network.
    """

    def __init__(self, config: SegnetConfig) -> None:
        super().__init__()
        self.head = nn.Linear(config.decoder_widths[-1], QUARTERS)

    def forward(self, model: Segnet, bev: Tensor, quarters: Tensor) -> Tensor:
        """Mean cross entropy, scalar.

        Args:
            model: that is asked.
            bev: (B, C, Y, X) lifted features of turned vehicles.
            quarters: (B,) int64 in 0 to 3, by how many each is turned.
        """
        pooled = model.decoder.downwards(bev)[-1].mean(dim=(2, 3))
        return functional.cross_entropy(self.head(pooled.to(self.head.weight.dtype)), quarters)
