# SPDX-License-Identifier: Apache-2.0
"""How good an answer is: one evaluator for training, the command line and recordings."""

from bev_perception.evaluation.evaluate import Evaluator, evaluate_bag, evaluate_bags
from bev_perception.evaluation.metrics import (
    DEFAULT_REGIONS,
    CenterCounts,
    GridIou,
    Region,
    center_matches,
)

__all__ = [
    "DEFAULT_REGIONS",
    "CenterCounts",
    "Evaluator",
    "GridIou",
    "Region",
    "center_matches",
    "evaluate_bag",
    "evaluate_bags",
]
