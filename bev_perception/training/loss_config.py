# SPDX-License-Identifier: Apache-2.0
"""Which loss training minimises, as data."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.errors import ConfigurationError

CENTER_LOSSES = ("balanced_mse", "mse", "smooth_l1")
OFFSET_LOSSES = ("l1", "mse", "smooth_l1")


@dataclass(frozen=True)
class LossConfig:
    """The loss; the defaults are Simple-BEV's. Formulas are in training.losses.

    Attributes:
        cross_entropy, focal, dice, iou: shares of these losses in the segmentation term, 0 leaves
            one out.
        positive_weight: factor on the occupied cells' share of the cross entropy.
        focal_gamma: how much the focal loss forgives cells that are nearly right.
        focal_alpha: the focal loss's share of occupied cells, 0 to 1.
        center: one of CENTER_LOSSES.
        offset: one of OFFSET_LOSSES.
        smooth_l1_beta: error from which smooth L1 is linear; metres for the offset, a share of
            1 for the centre.
        mask_center: leave cells of objects that are not visible out of the centre term too; the
            published loss counts them.
        segmentation_weight, center_weight, offset_weight: factors of the three terms.
        learned_weighting: also learn their balance by uncertainty.
        depth_weight: factor of the depth term, see depth_supervision.py; 0 leaves it out; more
            needs a model with lift depth and bags with LiDAR points.
    """

    cross_entropy: float = 1.0
    focal: float = 0.0
    dice: float = 0.0
    iou: float = 0.0
    positive_weight: float = 2.13
    focal_gamma: float = 2.0
    focal_alpha: float = 0.25
    center: str = "balanced_mse"
    offset: str = "l1"
    smooth_l1_beta: float = 0.5
    mask_center: bool = False
    segmentation_weight: float = 10.0
    center_weight: float = 0.5
    offset_weight: float = 0.5
    learned_weighting: bool = True
    depth_weight: float = 0.0

    def __post_init__(self) -> None:
        for name in (*self.segmentation_shares, *_WEIGHTS, "focal_gamma", "depth_weight"):
            if not getattr(self, name) >= 0.0:
                raise ConfigurationError(f"{name} must not be negative, got {getattr(self, name)}")
        if not any(self.segmentation_shares.values()):
            raise ConfigurationError(
                "the segmentation term needs a loss; give one of cross_entropy, focal, dice or iou "
                "a share above 0"
            )
        for name in ("positive_weight", "smooth_l1_beta"):
            if not getattr(self, name) > 0.0:
                raise ConfigurationError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0.0 <= self.focal_alpha <= 1.0:
            raise ConfigurationError(f"focal_alpha must lie in 0 to 1, got {self.focal_alpha}")
        for name, known in (("center", CENTER_LOSSES), ("offset", OFFSET_LOSSES)):
            if getattr(self, name) not in known:
                raise ConfigurationError(
                    f"unknown {name} loss {getattr(self, name)!r}, expected one of "
                    f"{', '.join(known)}"
                )

    @property
    def segmentation_shares(self) -> dict[str, float]:
        """Share of each loss in the segmentation term, by name."""
        return {name: getattr(self, name) for name in ("cross_entropy", "focal", "dice", "iou")}

    @property
    def odds_weight(self) -> float:
        """How many times the true odds of an occupied cell the cross entropy asks for."""
        return self.positive_weight if self.cross_entropy > 0.0 else 1.0

    @property
    def weights(self) -> tuple[float, float, float]:
        """Factors of segmentation, centre and offset."""
        return self.segmentation_weight, self.center_weight, self.offset_weight


_WEIGHTS = ("segmentation_weight", "center_weight", "offset_weight")
