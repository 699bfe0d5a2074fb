# SPDX-License-Identifier: Apache-2.0
"""Mixing of moments in the bird's-eye view, and features to mix.

Zhang et al., "mixup", 2018, mix images. Those of two rigs, or of one vehicle that leans and one
that does not, have no pixels in common, but their lifted features have cells in common: so
the features are mixed behind the lift, as Verma et al., "Manifold Mixup", 2019, do in general.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bev_perception.model import Segnet
from bev_perception.training.batch import Batch
from bev_perception.training.semi_supervised.unlabelled_data import Sights


@dataclass(frozen=True)
class Mix:
    """Who is mixed with whom.

    Attributes:
        share: of the moment itself, 0 to 1; the rest is its partner's.
        partners: (B,) int64, the partner of every moment.
    """

    share: float
    partners: Tensor

    def of(self, bev: Tensor) -> Tensor:
        """Mixed features, shape as bev (B, C, Y, X)."""
        return torch.lerp(bev[self.partners], bev, self.share)


def drawn_mix(count: int, alpha: float, random: np.random.Generator, mostly_own: bool) -> Mix:
    """A mix of count moments.

    Args:
        count: B.
        alpha: both parameters of the Beta distribution of the share.
        random: decides.
        mostly_own: take the larger of the two shares, as MixMatch does, so that a mix stays
            nearer to the moment whose kind of loss it gets.
    """
    share = float(random.beta(alpha, alpha))
    share = max(share, 1.0 - share) if mostly_own else share
    return Mix(share, torch.from_numpy(random.permutation(count)))


def bev_features(model: Segnet, parts: Sequence[Batch | Sights]) -> list[Tensor]:
    """Lifted features (B, C, Y, X) of several batches, all images encoded together.

    Together, so that batch norms see one distribution, not each part's own.
    """
    images = [part.images.flatten(0, 1)[:, None] for part in parts]  # (B * S, 1, 3, H, W)
    features = model.encode(torch.cat(images)).split([len(part) for part in images])
    return [
        model.lift(feature.squeeze(1).unflatten(0, part.images.shape[:2]), part.taps)
        for feature, part in zip(features, parts)
    ]
