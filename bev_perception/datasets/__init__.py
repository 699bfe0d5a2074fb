# SPDX-License-Identifier: Apache-2.0
"""Labelled drives as files that training reads, and the targets made of their boxes."""

from bev_perception.datasets.preparation import ExtractionSettings, find_bags, prepare_bags
from bev_perception.datasets.prepared_bag import PreparedBag, PreparedBagWriter, Sample
from bev_perception.datasets.targets import (
    Targets,
    TargetSettings,
    is_visible,
    make_targets,
)

__all__ = [
    "ExtractionSettings",
    "PreparedBag",
    "PreparedBagWriter",
    "Sample",
    "TargetSettings",
    "Targets",
    "find_bags",
    "is_visible",
    "make_targets",
    "prepare_bags",
]
