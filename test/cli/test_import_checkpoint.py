# SPDX-License-Identifier: Apache-2.0
"""``bev import-checkpoint``: from a file of the original's training to a run."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bev_perception.bags.output_reader import OutputReader
from bev_perception.model import load_weights

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))  # simple_bev_original
from simple_bev_original import random_state

SMALL = ("--image-size", 32, 48, "--half-extent", 8, "--resolution", 1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow ResNet-50 network that has learned nothing."""
    path = tmp_path_factory.mktemp("checkpoint") / "model-000025000.pth"
    torch.save({"model_state_dict": random_state()}, path)
    return path


def test_imported_weights_run_over_a_bag(
    bev: Callable, make_bag: Callable, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "simple_bev.safetensors"
    done = bev("import-checkpoint", checkpoint, "--out", out, *SMALL)
    assert done.code == 0, done.err
    assert "resnet50, 8 channels, 8 heights, images of 32x48, 16 x 16 cells of 1 m" in done.out
    assert f"weights: {out}" in done.out
    result = bev("run", make_bag(), "--weights", out, "--out", tmp_path / "run", "--pictures", 0)
    assert result.code == 0, result.err
    with OutputReader(tmp_path / "run" / "output") as reader:
        assert len(reader.stamps_ns) == 3
        output = reader.output(reader.stamps_ns[0])
        assert output is not None
        assert output.grid == load_weights(out)[0].config.grid


def test_options_are_kept_in_the_weights(bev: Callable, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "w.safetensors"
    options = ("--camera-position", 1.5, -0.25, 2, "--sampling", "exact")
    assert bev("import-checkpoint", checkpoint, "--out", out, *SMALL, *options).code == 0
    model, metadata = load_weights(out)
    assert model.config.sampling == "exact"
    assert (model.config.grid.x_min, model.config.grid.y_min) == (-6.5, -8.25)
    assert model.config.heights_m[0] == pytest.approx(2.0 - 6.0 + 0.625)
    assert metadata["camera_position"] == [1.5, -0.25, 2.0]


@pytest.mark.parametrize("sensor", ["lidar", "radar_features"])
def test_a_network_with_points_is_imported_and_a_run_says_that_the_bag_has_none(
    bev: Callable, make_bag: Callable, tmp_path: Path, sensor: str
) -> None:
    path, out = tmp_path / "lidar.pth", tmp_path / "lidar.safetensors"
    torch.save({"model_state_dict": random_state(sensor=sensor)}, path)
    done = bev("import-checkpoint", path, "--out", out, *SMALL)
    assert done.code == 0
    assert f"{sensor} beside images" in done.out
    result = bev("run", make_bag(), "--weights", out, "--out", tmp_path / "run")
    assert result.code == 0
    assert re.search(rf"{sensor} points: none for (\d+) of \1 sets", result.out + result.err)


def test_nothing_is_overwritten_unasked(bev: Callable, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    out.write_text("mine")
    result = bev("import-checkpoint", checkpoint, "--out", out, *SMALL)
    assert result.code == 2
    assert "exists" in result.error
    assert "--overwrite" in result.error
    assert out.read_text() == "mine"
    done = bev("import-checkpoint", checkpoint, "--out", out, "--overwrite", *SMALL)
    assert done.code == 0
    assert load_weights(out)[0].config.encoder == "resnet50"


def test_a_failed_import_leaves_what_was_there(bev: Callable, tmp_path: Path) -> None:
    bad, out = tmp_path / "bad.pth", tmp_path / "w.safetensors"
    bad.write_bytes(b"PK\x03\x04 and no more")
    out.write_text("mine")
    result = bev("import-checkpoint", bad, "--out", out, "--overwrite")
    assert result.code == 2
    assert f"checkpoint {bad}: not a complete file" in result.error
    assert out.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pth", "w.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.pth", "--out", "w.safetensors"], "absent.pth: no such file"),
        (["absent.pth", "--out", "w.pth"], "--out w.pth must end in .safetensors"),
        (["absent.pth"], "missing: --out"),
        (["--out", "w.safetensors"], "missing: FILE"),
        (["{}", "--out", "w.safetensors", "--resolution", "0.3"], "whole number of 0.3 m"),
        (["{}", "--out", "w.safetensors", "--image-size", "30", "48"], "multiples of 16"),
        (["{}", "--out", "w.safetensors", "--num-heights", "5"], "variant cannot be told"),
        (["{}", "--out", "w.safetensors", "--camera-position", "1"], "expected 3 arguments"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(
    bev: Callable,
    checkpoint: Path,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = bev("import-checkpoint", *(str(checkpoint) if a == "{}" else a for a in arguments))
    assert result.code == 2
    assert message in result.error
    assert len(result.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
