# SPDX-License-Identifier: Apache-2.0
"""Learning from recorded bags, and judging what was learned.

What needs Lightning is not imported here, so that processes that only read bags start quickly:
``from bev_perception.training.train import train``.
"""

from bev_perception.training.augmentation import AugmentationConfig
from bev_perception.training.configuration import DataConfig, OptimizerConfig, TrainConfig
from bev_perception.training.evaluate import Evaluator, evaluate_bag, evaluate_bags
from bev_perception.training.metrics import (
    DEFAULT_REGIONS,
    CenterCounts,
    GridIou,
    Region,
    center_matches,
)
from bev_perception.training.targets import Targets, TargetSettings, make_targets

__all__ = [
    "DEFAULT_REGIONS",
    "AugmentationConfig",
    "CenterCounts",
    "DataConfig",
    "Evaluator",
    "GridIou",
    "OptimizerConfig",
    "Region",
    "TargetSettings",
    "Targets",
    "TrainConfig",
    "center_matches",
    "evaluate_bag",
    "evaluate_bags",
    "make_targets",
]
