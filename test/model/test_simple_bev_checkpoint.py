# SPDX-License-Identifier: Apache-2.0
"""Which files are taken for checkpoints of Simple-BEV, and what is said about the others."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from simple_bev_original import State, random_state

from bev_perception.errors import ConfigurationError, WeightsError
from bev_perception.model import Segnet, preset
from bev_perception.model.simple_bev import SimpleBevSetting, load_simple_bev
from bev_perception.model.simple_bev_names import LOSS_WEIGHTS, original_name

SETTING = SimpleBevSetting(image_size=(32, 48), half_extent_m=8.0, resolution_m=1.0)


@pytest.fixture(scope="module")
def state() -> State:
    return random_state()


@pytest.fixture
def save(tmp_path: Path):
    """Writes a state dict as the original's training does; other keys as given."""

    def write(state: Any, **others: Any) -> Path:
        path = tmp_path / "model-000025000.pth"
        torch.save(
            {"optimizer_state_dict": {"state": {}}, "model_state_dict": state, **others}, path
        )
        return path

    return write


def without(state: State, *names: str) -> State:
    return {name: tensor for name, tensor in state.items() if name not in names}


@pytest.mark.parametrize(
    ("choices", "encoder", "sensor"),
    [
        ({"encoder": "resnet101"}, "resnet101", "none"),
        ({}, "resnet50", "none"),
        ({"sensor": "radar"}, "resnet50", "radar"),
        ({"sensor": "radar_features"}, "resnet50", "radar_features"),
        ({"sensor": "lidar"}, "resnet50", "lidar"),
    ],
)
def test_the_variant_is_told_by_the_tensors(save, choices, encoder, sensor):
    model, metadata = load_simple_bev(save(random_state(**choices)), SETTING)
    assert (model.config.encoder, model.config.sensor) == (encoder, sensor)
    assert model.config.latent_dim == 8
    assert model.config.decoder_widths == (8, 12, 16)
    assert model.config.sampling == "simple_bev"
    assert not model.training
    assert metadata["imported_from"] == "simple_bev"
    assert metadata["file"] == "model-000025000.pth"
    assert metadata["loss_weights"] == pytest.approx(dict.fromkeys(LOSS_WEIGHTS, 0.1))


def test_names_and_shapes_are_those_of_the_public_code():
    """Facts about the released camera network: widths 128 and 64, 128, 256, eight heights."""
    state = random_state("resnet101", latent=128, widths=(64, 128, 256))
    ours = Segnet(preset("nuscenes")).state_dict()
    assert {original_name(name) for name in ours} == set(state) - set(LOSS_WEIGHTS)
    assert state["bev_compressor.0.weight"].shape == (128, 1024, 3, 3)
    for name, tensor in ours.items():
        assert tensor.shape == state[original_name(name)].shape


def test_a_bare_state_dict_and_names_of_parallel_training_are_taken(state, tmp_path):
    path = tmp_path / "bare.pth"
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    bare, _ = load_simple_bev(path, SETTING)
    torch.save({"model_state_dict": state}, path, _use_new_zipfile_serialization=False)
    usual, _ = load_simple_bev(path, SETTING)
    for name, tensor in bare.state_dict().items():
        assert torch.equal(tensor, usual.state_dict()[name])


def test_half_precision_becomes_float32(state, save):
    halved = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
    model, _ = load_simple_bev(save(halved), SETTING)
    assert model.compressor[0].weight.dtype == torch.float32


class Malicious:
    """Would run a command in a plain pickle.load."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_a_pickle_with_code_is_refused_and_not_run(state, save, tmp_path):
    mark = tmp_path / "ran"
    path = save({**state, "extra": Malicious(mark)})
    with pytest.raises(WeightsError, match=r"would call posix\.system.*not opened"):
        load_simple_bev(path, SETTING)
    assert not mark.exists()


def test_a_pickled_module_is_refused_by_name(tmp_path):
    path = tmp_path / "module.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(WeightsError, match=r"would call torch\.nn\.modules\.linear\.Linear"):
        load_simple_bev(path, SETTING)


@pytest.mark.parametrize("kept", [0, 1, 100, 5000, -10])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_file(tmp_path, kept, zipped):
    path = tmp_path / "model.pth"
    torch.save({"model_state_dict": {"a": torch.rand(9999)}}, path,
               _use_new_zipfile_serialization=zipped)  # fmt: skip
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"model\.pth: not a complete file of torch\.save"):
        load_simple_bev(path, SETTING)


@pytest.mark.parametrize(
    "content", [b"hello world, this is text", b"\x80\x02}q\x00.", b"\x00" * 99]
)
def test_other_bytes(tmp_path, content):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.pth: (not a complete|holds an empty)"):
        load_simple_bev(path, SETTING)


def test_missing_file_folder_and_archive(state, save, tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        load_simple_bev(tmp_path / "nowhere.pth", SETTING)
    path = save(state)
    with pytest.raises(WeightsError, match=r"a folder.*it holds model-000025000\.pth"):
        load_simple_bev(tmp_path, SETTING)
    archive = tmp_path / "rgb_checkpoint.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(path, "checkpoints/model-000025000.pth")
    with pytest.raises(WeightsError, match="packed archive; unpack it"):
        load_simple_bev(archive, SETTING)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list instead of"),
        ({}, "holds an empty dict"),
        ({"epoch": 3}, "'epoch' is a int and no tensor"),
        ({"conv1.weight": torch.zeros(3)}, r"no network of Simple-BEV.*begins with conv1\.weight"),
    ],
)
def test_files_with_something_else(tmp_path, content, message):
    path = tmp_path / "model.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=message):
        load_simple_bev(path, SETTING)


def test_missing_and_unknown_tensors_are_named_as_in_the_file(state, save):
    changed = without(state, "decoder.bn1.bias", "decoder.feat_head.0.weight")
    changed["decoder.instance_future_head.0.weight"] = torch.zeros(1)
    with pytest.raises(WeightsError) as caught:
        load_simple_bev(save(changed), SETTING)
    assert str(caught.value).endswith(
        "2 missing: decoder.bn1.bias, decoder.feat_head.0.weight; "
        "1 unknown: decoder.instance_future_head.0.weight"
    )


def test_of_many_missing_tensors_the_first_few_are_named(state, save):
    changed = {name: t for name, t in state.items() if ".bn1." not in name}
    with pytest.raises(WeightsError, match=r"\d\d missing: [^,]+, [^,]+, [^,]+, \.\.\.$"):
        load_simple_bev(save(changed), SETTING)


def test_wrong_shapes_and_broken_values(state, save):
    changed = {**state, "encoder.depth_layer.bias": torch.zeros(9)}
    with pytest.raises(WeightsError, match=r"depth_layer\.bias has shape \(9,\) instead of \(8,\)"):
        load_simple_bev(save(changed), SETTING)
    changed = {**state, "decoder.bn1.bias": torch.full((8,), torch.nan)}
    with pytest.raises(WeightsError, match=r"decoder\.bn1\.bias holds values that are not finite"):
        load_simple_bev(save(changed), SETTING)
    changed = {**state, "encoder.depth_layer.weight": torch.zeros(8)}
    with pytest.raises(WeightsError, match=r"depth_layer\.weight has shape \(8,\), expected"):
        load_simple_bev(save(changed), SETTING)


def test_a_variant_that_cannot_be_told_lists_the_known_ones(save):
    expected = (
        r"takes 48 channels.* 64 \(cameras alone\), 65 \(radar\), 72 \(lidar\), 192 \(radar_f"
    )
    with pytest.raises(WeightsError, match=expected):
        load_simple_bev(save(random_state(num_y=6)), SETTING)
    setting = SimpleBevSetting((32, 48), 8.0, 1.0, num_heights=6)
    assert len(load_simple_bev(save(random_state(num_y=6)), setting)[0].config.heights_m) == 6


def test_networks_that_cannot_be_imported_say_why(state, save):
    with pytest.raises(WeightsError, match="EfficientNet"):
        load_simple_bev(save({"encoder.backbone._conv_stem.weight": torch.zeros(1)}), SETTING)
    with pytest.raises(WeightsError, match="do_rgbcompress=False"):
        load_simple_bev(save(without(state, "bev_compressor.0.weight")), SETTING)
    shallow = {name: t for name, t in state.items() if not name.startswith("encoder.layer3.5.")}
    with pytest.raises(WeightsError, match="layer3 has 5 blocks"):
        load_simple_bev(save(shallow), SETTING)


def test_published_setting():
    setting = SimpleBevSetting()
    assert setting.grid.shape == (200, 200)
    assert setting.grid.x_min == -50.0
    assert setting.heights_m == pytest.approx([-3.875 + 1.25 * level for level in range(8)])


def test_grid_and_heights_follow_the_reference_camera():
    setting = SimpleBevSetting(camera_position=(1.5, -0.25, 2.0))
    assert (setting.grid.x_min, setting.grid.y_min) == (-48.5, -50.25)
    assert setting.heights_m[0] == pytest.approx(2.0 - 6.0 + 0.625)
    assert setting.heights_m[-1] == pytest.approx(2.0 + 4.0 - 0.625)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"num_heights": 0}, "number of heights must be positive, got 0"),
        ({"camera_position": (0.0, 0.0, float("nan"))}, "camera position needs"),
        ({"image_size": (450, 800)}, "multiples of 16"),
        ({"resolution_m": 0.3}, "whole number of 0.3 m cells"),
        ({"sampling": "nearest"}, "unknown sampling 'nearest'"),
    ],
)
def test_settings_that_make_no_network(state, save, choices, message):
    with pytest.raises(ConfigurationError, match=message):
        load_simple_bev(save(state), SimpleBevSetting(**choices))
