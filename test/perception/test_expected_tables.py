# SPDX-License-Identifier: Apache-2.0
"""Tap tables of sets to come, built in another thread while their images come."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from small_network import CONFIG

from bev_perception.geometry import (
    CameraFrame,
    FrameSet,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.frames import BODY_T_OPTICAL, levelled
from bev_perception.inference import Engine
from bev_perception.perception import Calibration, Pipeline

CAMERA = PinholeCamera.from_field_of_view(96, 64, 80.0)
MOUNTING = RigidTransform.from_euler(translation=(0.0, 0.0, 1.6)) @ BODY_T_OPTICAL
RIG = Rig({"front": RigCamera(CAMERA, MOUNTING)})
POSE = RigidTransform.from_euler(roll=0.01, pitch=0.02, yaw=1.0)


def test_a_set_that_was_expected_waits_for_no_table(engine: Engine) -> None:
    pipeline = Pipeline(engine, RIG)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    frame_set = FrameSet(1, {"front": CameraFrame("front", 1, image)}, (), POSE)
    pipeline.expect(levelled(POSE))
    expected = pipeline.process(frame_set)
    assert pipeline.tables_built == 0
    surprised = Pipeline(engine, RIG)
    np.testing.assert_array_equal(surprised.process(frame_set).probability, expected.probability)
    assert surprised.tables_built == 1


def test_a_table_that_two_threads_want_is_built_once() -> None:
    calibration = Calibration(RIG, CONFIG)
    with ThreadPoolExecutor(4) as threads:
        tables = list(threads.map(lambda _: calibration.table((True,), POSE), range(8)))
    assert calibration.tables_built == 1
    assert all(table is tables[0] for table in tables)
