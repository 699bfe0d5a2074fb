# SPDX-License-Identifier: Apache-2.0
"""Six real cameras at their real calibration, from the bag to the output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from small_network import CONFIG

from bev_perception.bags import BagReader
from bev_perception.geometry import BevGrid, FrameSet
from bev_perception.inference import TorchEngine
from bev_perception.model import Segnet
from bev_perception.perception import Pipeline, Preparation, frame_sets

KEYFRAME = Path(__file__).resolve().parents[3] / "shared" / "data" / "nuscenes_keyframe"
pytestmark = pytest.mark.skipif(not KEYFRAME.is_dir(), reason="real sample data not at hand")


@pytest.fixture(scope="module")
def reader():
    with BagReader(KEYFRAME) as opened:
        yield opened


@pytest.fixture(scope="module")
def frame_set(reader) -> FrameSet:
    (found,) = frame_sets(reader)
    return found


def test_six_cameras_make_one_full_set_with_its_pose(frame_set):
    assert len(frame_set.frames) == 6
    assert frame_set.missing == ()
    assert frame_set.world_T_base is not None


def test_the_prepared_image_shows_the_same_place_where_the_prepared_rig_says(reader, frame_set):
    """The surroundings of an annotated box look alike before and after preparation."""
    rig = reader.rig()
    preparation = Preparation(rig, (448, 672))
    prepared = preparation.prepare(frame_set)
    compared = 0
    for box in reader.objects(reader.label_stamps_ns[0]):
        for index, name in enumerate(rig.names):
            (source, valid), (target, _) = (
                each[name].project(box.center) for each in (rig, preparation.rig)
            )
            inside = valid and 60 < source[0] < 1540 and 60 < source[1] < 840
            if not inside:
                continue
            scale = 672 / 1600
            around = cv2.getRectSubPix(
                cv2.resize(frame_set.frames[name].image, (672, 378), interpolation=cv2.INTER_AREA),
                (21, 21),
                ((source + 0.5) * scale - 0.5).astype(np.float32).tolist(),
            )
            after = cv2.getRectSubPix(
                prepared.images[index], (21, 21), target.astype(np.float32).tolist()
            )
            assert np.abs(around.astype(int) - after).mean() < 1.0
            compared += 1
    assert compared >= 10


def test_the_pipeline_runs_on_all_six(reader, frame_set):
    config = replace(CONFIG, image_size=(96, 160), grid=BevGrid.centered(20.0, 0.5))
    torch.manual_seed(0)
    output = Pipeline(TorchEngine(Segnet(config)), reader.rig()).process(frame_set)
    assert all(health.ok for health in output.health.values())
    assert np.isfinite(output.probability).all()
    # Six cameras look all round: only the ground at the vehicle itself is unseen.
    away = np.linalg.norm(config.grid.cell_centers, axis=-1)
    assert not output.unknown[away > 10.0].any()
    assert output.unknown[away < 1.0].any()
