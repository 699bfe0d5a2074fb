# SPDX-License-Identifier: Apache-2.0
"""``bev export`` and ``bev benchmark`` on a network that takes milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bev_perception.inference import why_unavailable

needs_onnx = pytest.mark.skipif(bool(why_unavailable("onnx")), reason="onnxruntime is missing")
needs_openvino = pytest.mark.skipif(bool(why_unavailable("openvino")), reason="openvino is missing")


@needs_onnx
def test_an_exported_file_runs_like_the_weights(
    bev: Callable, weights: Path, make_bag: Callable, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    bag, file = make_bag(), tmp_path / "out" / "model.onnx"
    exported = bev("export", "--weights", weights, "--cameras", 2, "--out", file)
    assert exported.code == 0, exported.err
    assert str(file) in exported.out
    arguments = ("--backend", "onnx", "--device", "cpu", "--pictures", 0)
    result = bev("run", bag, "--weights", file, *arguments, "--out", tmp_path / "a")
    assert result.code == 0, result.err
    chosen = json.loads((tmp_path / "a" / "run.json").read_text())["model"]
    assert (chosen["backend"], chosen["precision"]) == ("onnx", "fp32")


@needs_onnx
def test_an_exported_file_that_resizes_gives_the_same_grids(
    bev: Callable, weights: Path, make_bag: Callable, rig_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    bag, file = make_bag(), tmp_path / "raw.onnx"
    exported = bev("export", "--weights", weights, "--raw-images", "--rig", rig_file, "--out", file)
    assert exported.code == 0, exported.err
    assert "resizes images of" in exported.out
    for name, chosen in (("raw", file), ("host", weights)):
        arguments = ("--device", "cpu", "--precision", "fp32", "--pictures", 0)
        result = bev("run", bag, "--weights", chosen, *arguments, "--out", tmp_path / name)
        assert result.code == 0, result.err
    found, expected = (
        json.loads((tmp_path / name / "metrics.json").read_text())["iou"]
        for name in ("raw", "host")
    )
    assert found == expected


@needs_openvino
def test_an_engine_built_ahead_is_the_one_that_runs(
    bev: Callable, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEV_PERCEPTION_CACHE", str(tmp_path / "engines"))
    arguments = ("--build-only", "--backend", "openvino", "--precision", "fp32", "--cameras", 2)
    result = bev("export", "--weights", weights, *arguments)
    assert result.code == 0, result.err
    (engine,) = (tmp_path / "engines").iterdir()
    assert str(engine) in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --out FILE.onnx to write a file, or --build-only"),
        (("--out", "x.onnx", "--build-only"), "not both"),
        (("--out", "model.pb"), "must end in .onnx"),
        (("--out", "x.onnx", "--cameras", 0), "--cameras must be 1 to 64"),
        (("--out", "x.onnx", "--raw-images"), "--raw-images needs --rig"),
        (("--build-only", "--backend", "cpu"), "PyTorch, which builds no engine ahead"),
    ],
)
def test_what_cannot_be_exported_is_said(
    bev: Callable, weights: Path, arguments: tuple[object, ...], message: str
) -> None:
    result = bev("export", "--weights", weights, *arguments)
    assert result.code == 2
    assert message in result.error


def test_an_existing_file_stays(bev: Callable, weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_text("mine")
    result = bev("export", "--weights", weights, "--out", file)
    assert result.code == 2
    assert "--overwrite" in result.error
    assert file.read_text() == "mine"


def test_benchmark_compares_what_is_here(
    bev: Callable, weights: Path, make_bag: Callable, tmp_path: Path
) -> None:
    arguments = ("--device", "cpu", "--rounds", 2, "--precisions", "fp32")
    out = tmp_path / "benchmark"
    result = bev("benchmark", make_bag(), "--weights", weights, *arguments, "--out", out)
    assert result.code == 0, result.err
    engines = json.loads((out / "benchmark.json").read_text())["engines"]
    assert "cpu" in {engine["backend"] for engine in engines}
    for engine in engines:
        assert engine["precision"] == "fp32"
        assert 0 < engine["least_ms"] <= engine["median_ms"] <= engine["p99_ms"]
        assert engine["logit_difference_max"] < 1e-3
        assert engine["peak_mib"]["process"] > 50
        assert "within_25m" in engine["iou"]
    assert "not compared: tensorrt" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rounds", 0), "--rounds must be at least 1"),
        (("--backends", "tpu"), "--backends: unknown 'tpu'"),
        (("--precisions", "int4"), "--precisions: unknown 'int4'"),
    ],
)
def test_what_cannot_be_compared_is_said(
    bev: Callable, weights: Path, arguments: tuple[object, ...], message: str
) -> None:
    result = bev("benchmark", "--weights", weights, *arguments)
    assert result.code == 2
    assert message in result.error
