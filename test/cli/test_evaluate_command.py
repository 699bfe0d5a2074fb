# SPDX-License-Identifier: Apache-2.0
"""bev evaluate, bev report and bev calibrate from bags to pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from programs import load_benchmark
from tiny_network import CONFIG

from bev_perception.evaluation.answers import EngineRespondent
from bev_perception.evaluation.frame_scores import FrameScore
from bev_perception.evaluation.pictures import draw_moments
from bev_perception.inference import load_engine
from bev_perception.inference.engine import any_table
from bev_perception.model import Segnet, load_weights, save_weights


@pytest.fixture
def evaluated(bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path) -> Path:
    """An evaluation with retention and every subset of the cameras."""
    out = tmp_path / "scores"
    result = bev(
        "evaluate", make_bag(), "--weights", weights, "--backend", "cpu", "--retention",
        "--retention-stride", 3, "--camera-subsets", "--pictures", 1, "--out", out,
    )  # fmt: skip
    assert result.code == 0, result.err
    for text in (
        "panoptic quality", "pitch +2°, unknown", "without camera left", "best temperature",
        "report.html",
    ):  # fmt: skip
        assert text in result.out
    return out


def test_an_evaluation_has_figures_frames_pictures_and_a_page(evaluated: Path) -> None:
    metrics = json.loads((evaluated / "metrics.json").read_text())
    assert (metrics["bags"], metrics["sets"], metrics["retention"]["sets"]) == (1, 3, 1)
    subsets = metrics["camera_subsets"]["perturbations"]
    assert subsets[0]["name"] == "with all cameras"
    lost = [entry["seen"] for entry in subsets[1:]]
    assert max(lost) < subsets[0]["seen"]
    assert set(metrics["center_ap"]["within_25m"]) == {"0.5", "1", "2", "4", "mean"}
    assert set(metrics["boxes"]) == {"within_25m", "within_50m"}
    assert len(metrics["calibration"]["cells"]) == 15
    of_table = load_benchmark("lift_table.py").figures_of(metrics)
    assert of_table["ring_0_20m"] == metrics["iou"]["ring_0_20m"]
    assert of_table["hidden_objects"] == 0
    frames = json.loads((evaluated / "frames.json").read_text())
    assert [frame["drive"] for frame in frames["frames"]] == ["bag"] * 3
    files = [picture["file"] for picture in frames["pictures"]]
    assert files == ["best_0.jpg", "median_0.jpg", "worst_0.jpg"]
    assert cv2.imread(str(evaluated / files[0])).shape[1] == 1920
    page = (evaluated / "report.html").read_text()
    for text in (
        "Panoptic quality",
        "orientation error, degrees",
        "Retention",
        "Some of the cameras",
        "Worst: IoU",
        "ring 35-50 m",
        "--retention-stride 3",
    ):
        assert text in page
    assert page.count("data:image/jpeg") == 4


def test_two_models_are_compared_set_by_set(
    evaluated: Path, bev: Callable, weights: Path, tmp_path: Path
) -> None:
    model, metadata = load_weights(weights)
    shy = tmp_path / "shy.safetensors"
    save_weights(shy, model, metadata | {"calibration": {"temperature": 1.0, "bias": -0.5}})
    other = tmp_path / "shy_scores"
    bag = json.loads((evaluated / "frames.json").read_text())["frames"][0]["source"]
    common = ("--backend", "cpu", "--pictures", 0, "--out", other)
    assert bev("evaluate", bag, "--weights", shy, *common).code == 0
    out = tmp_path / "compared"
    result = bev("report", evaluated, other, "--pictures", 1, "--out", out)
    assert result.code == 0, result.err
    assert "IoU within ±25 m" in result.out
    values = json.loads((out / "comparison.json").read_text())["comparisons"][0]
    assert (values["first"], values["second"]) == ("scores", "shy_scores")
    assert len(values["frames"]) == 3
    found = values["pooled"]["within_25m"]
    assert found["low"] <= found["second"] - found["first"] <= found["high"]
    pictures = list(out.glob("*.jpg"))
    assert len(pictures) == 1  # every set changed to one side
    assert "Difference on the same sets" in (out / "report.html").read_text()


@pytest.mark.parametrize("clouds", [1, 3])
def test_sets_without_the_points_that_a_network_takes_are_told(
    bev: Callable, make_bag: Callable, tmp_path: Path, clouds: int
) -> None:
    weights, out = tmp_path / "lidar.safetensors", tmp_path / "scores"
    save_weights(weights, Segnet(replace(CONFIG, sensor="lidar")), {"recipe": "none"})
    bag = make_bag(clouds_before=clouds)
    common = ("--weights", weights, "--backend", "cpu", "--pictures", 0)
    result = bev("evaluate", bag, *common, "--out", out)
    assert result.code == 0, result.err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["without_points"] == {"sensor": "lidar", "sets": 3 - clouds}
    assert bev("report", out, "--out", tmp_path / "page").code == 0
    fitted = bev(
        "calibrate", bag, "--weights", weights, "--out", tmp_path / "calibrated.safetensors"
    )
    assert fitted.code == 0, fitted.err
    told = f"takes lidar points, and {3 - clouds} of 3 sets have none"
    page = (tmp_path / "page" / "report.html").read_text()
    for text in (result.out, fitted.out, page):
        assert (told in text) == (clouds < 3)


def test_moments_of_bags_of_one_name_are_drawn_each_from_its_own(
    make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    moments = []
    for folder, encoding in (("monday", "rgb8"), ("tuesday", "bgr8")):
        (tmp_path / folder).mkdir()
        bag = make_bag(encoding=encoding).rename(tmp_path / folder / "bag")
        moments.append(FrameScore(str(bag), "bag", 1_000_000_000, {}))
    engine = load_engine(weights, "cpu", "fp32", "cpu")
    one, other = draw_moments(moments, {"prediction": EngineRespondent(engine)}).values()
    assert one.shape == other.shape
    assert (one != other).any()


def test_a_page_of_one_evaluation_is_made_again(
    evaluated: Path, bev: Callable, tmp_path: Path
) -> None:
    assert bev("report", evaluated, "--out", tmp_path / "page").code == 0
    page = (tmp_path / "page" / "report.html").read_text()
    assert page.count("data:image/jpeg") == 4


def test_what_is_no_evaluation_is_told(evaluated: Path, bev: Callable, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = bev("report", empty, "--out", tmp_path / "page")
    assert result.code == 2
    assert "holds no evaluation (run.json, metrics.json, frames.json missing)" in result.error
    (evaluated / "frames.json").write_text("{")
    assert "is damaged" in bev("report", evaluated, "--out", tmp_path / "page").error
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize("without", [5, {"sets": 1}, {"sensor": "lidar", "sets": "some"}])
def test_a_count_of_points_that_is_none_is_told(
    evaluated: Path, bev: Callable, tmp_path: Path, without: object
) -> None:
    metrics = json.loads((evaluated / "metrics.json").read_text())
    (evaluated / "metrics.json").write_text(json.dumps(metrics | {"without_points": without}))
    assert "is damaged" in bev("report", evaluated, "--out", tmp_path / "page").error


def test_recorded_outputs_are_judged_as_the_network_was(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    bag = make_bag()
    run = tmp_path / "run"
    common = ("--weights", weights, "--backend", "cpu", "--pictures", 0)
    assert bev("run", bag, *common, "--out", run).code == 0
    result = bev("evaluate", bag, "--recorded", "--out", tmp_path / "scores")
    assert "nothing was recorded on /bev/occupancy_grid" in result.error
    refused = bev("evaluate", bag, "--recorded", "--retention", "--out", tmp_path / "scores")
    assert "--recorded runs no network" in refused.error


def test_calibrated_weights_carry_their_temperature(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    out, bag = tmp_path / "calibrated.safetensors", make_bag()
    result = bev("calibrate", bag, "--weights", weights, "--device", "cpu", "--out", out)
    assert result.code == 0, result.err
    assert "temperature" in result.out
    metadata = load_weights(out)[1]
    calibration = metadata["calibration"]
    assert metadata["recipe"] == "none"
    assert (calibration["method"], calibration["fitted_on"]) == ("temperature", ["bag"])
    assert calibration["nll_after"] <= calibration["nll_before"]
    assert str(bag) in calibration["command"]
    again = bev("calibrate", bag, "--weights", weights, "--out", out)
    assert "exists; choose another name or add --overwrite" in again.error
    twice = bev("calibrate", bag, "--weights", out, "--device", "cpu", "--out", out, "--overwrite")
    assert twice.code == 0
    refitted = load_weights(out)[1]["calibration"]
    assert refitted["temperature"] == calibration["temperature"], "fitted on the raw logits again"


def test_calibrated_weights_that_find_no_room_are_told_by_name(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "calibrated.safetensors"
    result = bev("calibrate", make_bag(), "--weights", weights, "--device", "cpu", "--out", out)
    assert result.code == 2
    assert f"--out {out} cannot be written: " in result.error


def test_exported_weights_are_calibrated_too(bev: Callable, weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model, metadata = load_weights(weights)
    path, file = tmp_path / "warm.safetensors", tmp_path / "warm.onnx"
    save_weights(path, model, metadata | {"calibration": {"temperature": 2.0, "bias": -0.5}})
    exported = bev("export", "--weights", path, "--cameras", 2, "--out", file)
    assert exported.code == 0, exported.err
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    answers = [
        load_engine(one, "cpu", "fp32", backend).infer(images, any_table(model.config, 2))
        for one, backend in ((file, "onnx"), (path, "cpu"), (weights, "cpu"))
    ]
    graph, engine, raw = (answer.probability for answer in answers)
    np.testing.assert_allclose(graph, engine, atol=1e-4)
    assert np.abs(engine - raw).max() > 0.01
