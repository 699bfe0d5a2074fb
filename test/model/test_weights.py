# SPDX-License-Identifier: Apache-2.0
"""Weights files: what goes in comes out, and what is broken is refused in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from segnet_samples import small_config

from bev_perception.errors import WeightsError
from bev_perception.model import Segnet, load_weights, save_weights, shipped_weights
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.model.segnet import VELOCITY_UNIT_M_PER_S
from bev_perception.resources import config_path, shipped_weight_names

SHIPPED = shipped_weight_names()


@pytest.fixture(scope="module")
def model() -> Segnet:
    torch.manual_seed(0)
    return Segnet(small_config()).to(memory_format=torch.channels_last)


@pytest.fixture
def path(model, tmp_path) -> Path:
    path = tmp_path / "model.safetensors"
    save_weights(path, model, {"recipe": "tiny", "steps": 3})
    return path


def rewrite(path: Path, tensors=None, **header: str | None) -> None:
    """The same file with other tensors or header entries; None removes an entry."""
    with safe_open(path, framework="pt") as file:
        values = {**file.metadata(), **header}
    kept = {key: value for key, value in values.items() if value is not None}
    save_file(load_file(path) if tensors is None else tensors, path, metadata=kept)


def test_round_trip_is_exact(model, path):
    loaded, metadata = load_weights(path)
    assert metadata == {"recipe": "tiny", "steps": 3}
    assert loaded.config == model.config
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_half_the_file_holds_numbers_as_float16_and_loads_as_float32(model, path):
    whole = path.stat().st_size
    save_weights(path, model, {"recipe": "none"}, half=True)
    assert path.stat().st_size < 0.7 * whole
    loaded, metadata = load_weights(path)
    assert metadata == {"recipe": "none"}
    for name, value in model.state_dict().items():
        other = loaded.state_dict()[name]
        assert other.dtype == value.dtype, name
        torch.testing.assert_close(other, value, rtol=1e-3, atol=1e-6)
    torch.nn.init.constant_(loaded.center_head[3].bias, 1e5)
    with pytest.raises(WeightsError, match=r"center_head\.3\.bias .* float16's 65504"):
        save_weights(path, loaded, half=True)


def test_files_from_before_there_were_classes_are_vehicle_networks(model, path):
    with safe_open(path, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    assert config.pop("classes") == ["vehicle"]
    rewrite(path, config=json.dumps(config))
    loaded, _ = load_weights(path)
    assert loaded.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_velocity_heads_from_before_their_unit_still_say_metres_per_second(tmp_path):
    path, config = tmp_path / "gru.safetensors", replace(small_config(), memory=MemoryConfig("gru"))
    model = Segnet(config)
    raw = torch.randn(1, config.latent_dim, *config.grid.shape)
    said = model.velocity_head(raw)  # what an earlier version took for metres per second
    save_weights(path, model)
    rewrite(path, velocity_unit_m_per_s=None)
    old, _ = load_weights(path)
    torch.testing.assert_close(VELOCITY_UNIT_M_PER_S * old.velocity_head(raw), said)
    save_weights(path, old)  # and with the unit it is not converted again
    torch.testing.assert_close(load_weights(path)[0].velocity_head(raw), old.velocity_head(raw))


def test_saving_leaves_one_file_and_makes_its_folder(model, tmp_path):
    save_weights(tmp_path / "new" / "w.safetensors", model)
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["w.safetensors"]


def test_others_may_read_what_the_umask_lets_them(model, path):
    plain = path.with_name("plain")
    plain.touch()
    save_weights(path, model)
    assert path.stat().st_mode == plain.stat().st_mode


def test_failed_saving_leaves_the_old_file(model, path, monkeypatch):
    before = path.read_bytes()

    write = Path.write_bytes

    def full_disk(file, content):
        write(file, content[: len(content) // 2])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_weights(path, model)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_missing_file(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors: no such file"):
        load_weights(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 200, -1000])
def test_truncated_file(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        load_weights(path)


def test_pickled_checkpoint_is_not_opened(model, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(model.state_dict(), path)
    with pytest.raises(WeightsError, match="pickled"):
        load_weights(path)


def test_flipped_bit(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="checksum"):
        load_weights(path)


def test_foreign_file_without_metadata(path):
    save_file(load_file(path), path)
    with pytest.raises(WeightsError, match="without bev_perception"):
        load_weights(path)


@pytest.mark.parametrize("config", ["{", "[]", '"text"', '{"encoder": "light"}'])
def test_unreadable_configuration(path, config):
    rewrite(path, config=config)
    with pytest.raises(WeightsError, match="unreadable metadata"):
        load_weights(path)


def test_unreadable_free_metadata(path):
    rewrite(path, metadata="{")
    with pytest.raises(WeightsError, match="unreadable metadata"):
        load_weights(path)


def test_missing_and_unknown_tensors_are_named_with_shapes(path):
    tensors = load_file(path)
    tensors["old.bias"] = tensors.pop("offset_head.3.bias")
    rewrite(path, tensors)
    expected = r"1 missing: offset_head\.3\.bias \(2,\); 1 unknown: old\.bias \(2,\)"
    with pytest.raises(WeightsError, match=expected):
        load_weights(path)


def test_tensors_of_another_configuration_show_both_shapes(path):
    values = small_config(latent_dim=7).to_dict()
    rewrite(path, config=json.dumps(values))
    with pytest.raises(WeightsError, match=r"of wrong shape: .*\(6, 12, 1, 1\) instead of \(7, 12"):
        load_weights(path)


def test_unknown_shipped_weights():
    with pytest.raises(WeightsError, match="no shipped weights named 'huge'"):
        shipped_weights("huge")


def is_said(recipe: dict, there: dict) -> bool:
    """Whether a configuration holds whatever a recipe says."""
    return all(
        is_said(value, there[name]) if isinstance(value, dict) else there[name] == value
        for name, value in recipe.items()
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_fit_their_recipe_and_tell_how_they_were_made(name):
    path = shipped_weights(name)
    model, metadata = load_weights(path)
    words = metadata["command"].split()
    recipe = config_path(words[words.index("--config") + 1].removeprefix("config/"))
    told = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    assert is_said(told["model"], json.loads(json.dumps(model.config.to_dict())))
    assert metadata["steps"] == told["max_steps"]
    assert metadata["calibration"]["temperature"] > 0
    assert metadata["data"]["train"]["bags"]
    assert 0.7 < metadata["metrics"]["iou_within_25m"] < 1.0
    assert path.stat().st_size < 10e6
