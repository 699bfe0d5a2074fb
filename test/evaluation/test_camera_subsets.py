# SPDX-License-Identifier: Apache-2.0
"""With some of the cameras: every subset is measured, on the cells that it sees."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_network import CONFIG

sys.path.insert(0, str(Path(__file__).parent))

from test_retention import RIG, car, photographed

from bev_perception.datasets.labelled_set import LabelledSet
from bev_perception.datasets.targets import make_targets
from bev_perception.evaluation.perturbations import Perturbation, camera_subsets, taken_set
from bev_perception.evaluation.retention import Retention
from bev_perception.inference import RawOutput

BOXES = (car(9.0, 0.0), car(0.0, 9.0), car(8.0, 7.0))
TRUTH = make_targets(BOXES, CONFIG.grid).segmentation
WHOLE, HALF = 0.9, 0.6


class WaveringEngine:
    """Right in its decisions; less sure of vehicles, and of free cells, once a camera is lost."""

    config = CONFIG
    backend = device = "cpu"
    precision = "fp32"

    def __init__(self) -> None:
        self.most = 0

    def infer(self, images, taps):
        self.most = max(self.most, int(taps.seen.sum()))
        sure = WHOLE if taps.seen.sum() == self.most else HALF
        said = np.where(TRUTH, sure, 1.0 - sure).astype(np.float32)
        nothing = np.zeros((3, *CONFIG.grid.shape), dtype=np.float32)
        return RawOutput(said, nothing[0], nothing[1:])


@pytest.fixture(scope="module")
def subsets():
    retention = Retention(WaveringEngine())
    changes = camera_subsets(RIG.names)
    retention.update(RIG, [LabelledSet(photographed(RIG), BOXES)], changes)
    return {entry["name"]: entry for entry in retention.compute()["perturbations"]}


def test_every_subset_but_the_empty_one_is_measured_once():
    names = ("front", "left", "rear", "right")
    lost = [change.cameras for change in camera_subsets(names)]
    assert len(lost) == len(set(lost)) == 15
    assert lost[0] == ()
    assert ("front", "left", "rear", "right") not in lost
    assert camera_subsets(names)[5].name == "without cameras front, left"


def test_lost_cameras_give_no_image_and_are_named_missing_once():
    frame_set = photographed(RIG)
    change = Perturbation("lost", ("left",))
    once = taken_set(frame_set, RIG, change)
    assert set(once.frames) == {"front"}
    assert once.missing == ("left",)
    assert taken_set(once, RIG, change).missing == ("left",)


def test_calibration_is_measured_on_the_cells_that_are_still_seen(subsets):
    whole, halved = subsets["with all cameras"], subsets["without camera left"]
    assert whole["ece"] == whole["ece_before"] == pytest.approx(1.0 - WHOLE, abs=1e-4)
    assert whole["brier"] == pytest.approx((1.0 - WHOLE) ** 2, abs=1e-4)
    assert halved["ece_before"] == pytest.approx(1.0 - WHOLE, abs=1e-4)
    assert halved["ece"] == pytest.approx(1.0 - HALF, abs=1e-4)
    assert 0.0 < halved["seen"] < whole["seen"] < 1.0
    assert whole["seen"] < halved["seen"] + subsets["without camera front"]["seen"] + 1e-3


def test_a_network_that_is_right_but_shy_would_need_a_lower_temperature(subsets):
    for entry in subsets.values():
        assert entry["temperature"] < 0.5
        assert entry["retained"] == 1.0
