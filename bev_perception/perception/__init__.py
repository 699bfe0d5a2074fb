# SPDX-License-Identifier: Apache-2.0
"""From camera frames to BEV output, with no ROS in it; the same live and on bags."""

from bev_perception.perception.calibration import Calibration, settled_attitude
from bev_perception.perception.frame_sets import FrameSource, frame_sets, synchronized_sets
from bev_perception.perception.health import camera_health
from bev_perception.perception.objects import find_objects
from bev_perception.perception.pipeline import Pipeline
from bev_perception.perception.preparation import Preparation, PreparedSet
from bev_perception.perception.settings import PipelineSettings
from bev_perception.perception.synchronized_set import Stamped, SynchronizedSet
from bev_perception.perception.synchronizer import Synchronizer
from bev_perception.perception.synchronizer_statistics import (
    DROP_CAUSES,
    SynchronizerStatistics,
)
from bev_perception.perception.tracker import Tracker, TrackerSettings
from bev_perception.perception.unknown import seen_cells

__all__ = [
    "DROP_CAUSES",
    "Calibration",
    "FrameSource",
    "Pipeline",
    "PipelineSettings",
    "Preparation",
    "PreparedSet",
    "Stamped",
    "SynchronizedSet",
    "Synchronizer",
    "SynchronizerStatistics",
    "Tracker",
    "TrackerSettings",
    "camera_health",
    "find_objects",
    "frame_sets",
    "seen_cells",
    "settled_attitude",
    "synchronized_sets",
]
