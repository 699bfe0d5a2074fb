# SPDX-License-Identifier: Apache-2.0
"""The graph that is exported: the model's numbers, few operators, tables as inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_samples import CONFIG, TENSORRT_OPERATORS, rig_of

from bev_perception.errors import ConfigurationError
from bev_perception.inference.exported_graph import ModelSource
from bev_perception.model import Segnet, TapTable, build_tap_table, inference_form
from bev_perception.model.fused_convolutions import fuse_convolutions
from bev_perception.model.gather_form import GatherSegnet
from bev_perception.model.inference_form import InferenceSegnet
from bev_perception.model.lift import gather
from bev_perception.model.tap_layout import TapLayout, needed, padded

NUM_VOXELS = 21 * 18 * 2


def maps_of(output) -> torch.Tensor:
    center = output.center[0].logit()
    return torch.cat([output.segmentation[0], center, output.offset[0]])


def run(model: Segnet, images: np.ndarray, taps: TapTable, layout: TapLayout) -> torch.Tensor:
    table = padded(taps, layout)
    inputs = (images, table.cells, table.weights, table.slots)
    with torch.no_grad():
        return GatherSegnet(model).eval()(*(torch.from_numpy(array) for array in inputs))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
def test_inference_form_is_the_same_function(model, images, taps, fused, mirrored):
    if mirrored:
        turned = Segnet(replace(CONFIG, mirrored_decoder=True)).eval()
        turned.load_state_dict(model.state_dict())
        model = turned
    network = InferenceSegnet(model)
    network.cast("cpu", torch.float32)
    if fused and not fuse_convolutions(network):
        pytest.skip("this build of torch has no fused convolutions")
    with torch.no_grad():
        tensor = torch.from_numpy(images)
        voxels = gather(network.encode(tensor), taps.forward)
        maps = network.decode(network.compress(voxels))
        expected = maps_of(model(tensor.permute(0, 3, 1, 2)[None], taps))
    torch.testing.assert_close(maps, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("lines", [1, 5, 20])
def test_strips_lift_what_the_whole_grid_lifts(model, images, taps, lines, monkeypatch):
    network = InferenceSegnet(model)
    with torch.no_grad():
        rows = network.encode(torch.from_numpy(images))
        whole = network.compress(gather(rows, taps.forward))
        monkeypatch.setattr(inference_form, "MIN_STRIP_LINES", 1)
        monkeypatch.setattr(inference_form, "STRIP_BYTES", lines * 18 * 2 * 6 * 4)
        strips = network.lift(rows, taps.forward)
    torch.testing.assert_close(strips, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("num_cameras", "field_of_view_deg"), [(1, 90.0), (4, 60.0), (6, 150.0)])
def test_gathers_lift_as_the_table_does(model, num_cameras, field_of_view_deg):
    shape = (num_cameras, 32, 48, 3)
    images = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    taps = build_tap_table(rig_of(num_cameras, field_of_view_deg), CONFIG)
    layout = TapLayout.usual(num_cameras, NUM_VOXELS).grown_for(taps)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)[None]
    with torch.no_grad():
        direct = maps_of(model(tensor, taps))
    torch.testing.assert_close(run(model, images, taps, layout), direct, atol=1e-4, rtol=1e-4)


def test_a_larger_layout_changes_nothing(model, images, taps):
    usual = TapLayout.usual(4, NUM_VOXELS).grown_for(taps)
    larger = TapLayout(4, usual.views + 2, usual.sightings + 500)
    torch.testing.assert_close(
        run(model, images, taps, larger), run(model, images, taps, usual), atol=1e-5, rtol=1e-5
    )


def test_missing_cameras_fit_where_all_fit(model, images, taps):
    layout = TapLayout.usual(4, NUM_VOXELS).grown_for(taps)
    fewer = build_tap_table(rig_of(4), CONFIG, present=(False, True, False, False))
    assert layout.has_room_for(fewer)
    none = build_tap_table(rig_of(4), CONFIG, present=(False,) * 4)
    assert layout.has_room_for(none)
    assert torch.isfinite(run(model, images, none, layout)).all()


def test_more_overlap_needs_a_larger_layout():
    wide = build_tap_table(rig_of(6, 150.0), CONFIG)
    usual = TapLayout.usual(6, NUM_VOXELS)
    assert needed(wide)[0] > usual.views
    assert not usual.has_room_for(wide)
    assert usual.grown_for(wide).has_room_for(wide)
    with pytest.raises(ConfigurationError, match="does not fit"):
        padded(wide, usual)


@pytest.mark.parametrize("raw_size", [None, (60, 80)])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_only_operators_that_every_library_takes(model, precision, raw_size):
    onnx = pytest.importorskip("onnx")
    layout = replace(TapLayout.usual(4, NUM_VOXELS), raw_size=raw_size)
    graph = onnx.load_from_string(ModelSource(model).graph(layout, precision).onnx)
    onnx.checker.check_model(graph, full_check=precision != "bf16")
    assert {node.op_type for node in graph.graph.node} <= TENSORRT_OPERATORS
    assert [entry.name for entry in graph.graph.input] == list(layout.input_names(model.config))
    if raw_size is not None:
        types = {entry.name: entry.type.tensor_type.elem_type for entry in graph.graph.input}
        assert types["rows"] == types["columns"] == onnx.TensorProto.FLOAT


def test_exporting_leaves_the_model_as_it_is(model):
    pytest.importorskip("onnx")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ModelSource(model).graph(TapLayout.usual(4, NUM_VOXELS), "fp16")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
