# SPDX-License-Identifier: Apache-2.0
"""A recorded drive is judged as what was recorded would have been judged live."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_network import CONFIG

from bev_perception.bags import BagWriter
from bev_perception.datasets.targets import make_targets
from bev_perception.evaluation import Evaluator
from bev_perception.evaluation.answers import RecordedRespondent
from bev_perception.evaluation.evaluate import evaluate
from bev_perception.geometry import (
    BODY_T_OPTICAL,
    BevOutput,
    CameraFrame,
    FrameSet,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)

SECOND = 1_000_000_000
CAMERA = PinholeCamera.from_field_of_view(96, 64, 90.0)
POSE = RigidTransform.from_euler(translation=(1.0, 0.0, 1.6)) @ BODY_T_OPTICAL
RIG = Rig({"front": RigCamera(CAMERA, POSE, "front_optical_frame")})
GRID = CONFIG.grid


def car(x, y, score=float("nan"), number=1):
    pose = RigidTransform.from_euler(yaw=0.2, translation=(x, y, 0.8))
    size = np.array([4.5, 2.0, 1.6])
    return ObjectBox("car", number, pose, size, visibility=1.0, score=score)


def output(stamp_ns, boxes):
    targets = make_targets(boxes, GRID)
    return BevOutput(
        stamp_ns,
        GRID,
        0.9 * targets.segmentation.astype(np.float32),
        np.zeros(GRID.shape, dtype=bool),
        0 * targets.center,
        0 * targets.offset,
        tuple(boxes),
    )


def test_recorded_outputs_are_judged_like_live_ones(tmp_path):
    evaluator, bag = Evaluator(), tmp_path / "drive"
    truth, said = [car(8.0, 1.0)], [car(8.5, 1.0, 0.75), car(3.0, -6.0, 0.5, 2)]
    random = np.random.default_rng(0)
    with BagWriter(bag) as writer:
        for number in range(3):
            stamp_ns = (number + 1) * SECOND
            image = random.integers(0, 255, (64, 96, 3), dtype=np.uint8)
            frames = {"front": CameraFrame("front", stamp_ns, image)}
            writer.write_frame_set(FrameSet(stamp_ns, frames), RIG, None)
            writer.write_objects(stamp_ns, truth)
            if number == 2:
                continue  # the node let one go
            writer.write_output(output(stamp_ns, said), 0.5)
            evaluator.update(output(stamp_ns, said), truth)
    found = evaluate([bag], RecordedRespondent(), show_progress=False)
    live = evaluator.compute()
    assert found.metrics["sets"] == len(found.frames) == 2
    for name in ("iou", "center_counts", "panoptic", "center_ap", "boxes"):
        assert found.metrics[name] == live[name]
    assert found.metrics["boxes"]["within_25m"]["translation_error_m"] == 0.5
    assert found.metrics["panoptic"]["within_25m"]["rq"] == pytest.approx(2 / 3, abs=1e-4)
    assert found.frames[0].iou("within_50m") == pytest.approx(live["iou"]["within_50m"], abs=1e-4)
