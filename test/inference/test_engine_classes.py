# SPDX-License-Identifier: Apache-2.0
"""A network of several classes through engines: each class, and the likeliest as occupancy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_samples import CONFIG, rig_of

from bev_perception.geometry.class_sets import ROAD_USERS
from bev_perception.inference import TorchEngine
from bev_perception.inference.engine import raw_output
from bev_perception.inference.exported_graph import ModelSource
from bev_perception.model import Segnet, build_tap_table
from bev_perception.model.gather_form import GatherSegnet
from bev_perception.model.tap_layout import padded


@pytest.fixture(scope="module")
def road_users() -> Segnet:
    torch.manual_seed(1)
    return Segnet(replace(CONFIG, classes=ROAD_USERS)).eval()


@pytest.fixture(scope="module")
def answer(road_users, images):
    taps = build_tap_table(rig_of(4), road_users.config)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)[None]
    with torch.no_grad():
        return taps, road_users(tensor, taps)


def check(found, output) -> None:
    classes = output.segmentation[0].sigmoid().numpy()
    np.testing.assert_allclose(found.class_probability, classes, atol=1e-4)
    np.testing.assert_allclose(found.probability, classes.max(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.center, output.center[0, 0].numpy(), atol=1e-4)
    np.testing.assert_allclose(found.offset, output.offset[0].numpy(), atol=4e-4)


def test_the_torch_engine_tells_every_class(road_users, answer, images):
    taps, output = answer
    check(TorchEngine(road_users).infer(images, taps), output)


def test_the_exported_graph_tells_every_class(road_users, answer, images):
    taps, output = answer
    table = padded(taps, ModelSource(road_users).layout_for(4).grown_for(taps))
    inputs = (
        torch.from_numpy(array) for array in (images, table.cells, table.weights, table.slots)
    )
    with torch.no_grad():
        maps = GatherSegnet(road_users)(*inputs)
    assert maps.shape[0] == 6
    check(raw_output(maps), output)


def test_a_network_of_one_class_has_no_classes_to_tell(model, taps, images):
    assert TorchEngine(model).infer(images, taps).class_probability is None
