# SPDX-License-Identifier: Apache-2.0
"""How good an answer is: one evaluator for training, the command line and recordings."""

from bev_perception.evaluation.center_matching import CenterCounts, center_matches
from bev_perception.evaluation.evaluate import Evaluation, evaluate, evaluate_bags
from bev_perception.evaluation.evaluator import Evaluator
from bev_perception.evaluation.grid_iou import GridIou
from bev_perception.evaluation.regions import DEFAULT_REGIONS, Region

__all__ = [
    "DEFAULT_REGIONS",
    "CenterCounts",
    "Evaluation",
    "Evaluator",
    "GridIou",
    "Region",
    "center_matches",
    "evaluate",
    "evaluate_bags",
]
