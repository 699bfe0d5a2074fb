# SPDX-License-Identifier: Apache-2.0
"""Labelled drives as files that training reads, and the targets made of their boxes."""

from bev_perception.datasets.drives import find_bags, open_drive
from bev_perception.datasets.labelled_set import LabelledDrive, LabelledSet
from bev_perception.datasets.preparation import ExtractionSettings, prepare_bags
from bev_perception.datasets.prepared_bag import PreparedBag, Sample
from bev_perception.datasets.prepared_bag_writer import PreparedBagWriter
from bev_perception.datasets.shard_reader import ShardDrive, ShardReader
from bev_perception.datasets.shard_writer import ShardWriter
from bev_perception.datasets.targets import (
    Targets,
    TargetSettings,
    is_visible,
    make_targets,
)

__all__ = [
    "ExtractionSettings",
    "LabelledDrive",
    "LabelledSet",
    "PreparedBag",
    "PreparedBagWriter",
    "Sample",
    "ShardDrive",
    "ShardReader",
    "ShardWriter",
    "TargetSettings",
    "Targets",
    "find_bags",
    "is_visible",
    "make_targets",
    "open_drive",
    "prepare_bags",
]
