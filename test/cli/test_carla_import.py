# SPDX-License-Identifier: Apache-2.0
"""``bev carla check`` and ``bev carla import`` on samples as a script on CARLA would store them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

from sample_export import write_drive

from bev_perception.bags import BagReader
from bev_perception.datasets.preparation import ExtractionSettings, find_bags, prepare_bags
from bev_perception.geometry import Rig, load_rig
from bev_perception.resources import config_path
from bev_perception.samples import Declaration, simple_bev_declaration
from bev_perception.simulation import SimulatedSet, Simulator

TRUTH = replace(
    simple_bev_declaration(("front", "left", "rear", "right")),
    image_values="0..255", first_pixel="corner", camera_axes="carla", ego_axes="carla",
    world_axes="carla", box_axes="carla", box_sizes="half", object_ids="stable",
)  # fmt: skip


@pytest.fixture(scope="module")
def rig() -> Rig:
    shipped = load_rig(config_path("rigs/default.yaml"))
    return Rig({name: entry.resized(336, 224) for name, entry in shipped.cameras.items()})


@pytest.fixture(scope="module")
def drive_sets(rig: Rig) -> list[SimulatedSet]:
    with Simulator(11003, rig, rate_hz=2.0) as simulator:
        return list(simulator.run(6))


@pytest.fixture
def data(drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path) -> Path:
    return write_drive(tmp_path / "data", drive_sets, rig, TRUTH)


def declare(data: Path, says: Declaration) -> None:
    (data / "layout.yaml").write_text(says.to_yaml())


def test_import_gives_bags_that_training_takes(
    bev: Callable, data: Path, drive_sets: list[SimulatedSet], tmp_path: Path
) -> None:
    out = tmp_path / "imported"
    done = bev("carla", "import", data, "--out", out)
    assert done.code == 0, done.err
    assert "6 samples in 1 bags" in done.out
    assert {path.name for path in out.iterdir()} == {
        "drive_0", "drive_0.html", "drive_0.txt", "drive_0.json", "run.json",
        "drive_0_as_declared_000000.jpg", "drive_0_as_declared_000005.jpg",
    }  # fmt: skip
    run = json.loads((out / "run.json").read_text())
    assert run["declaration"]["camera_axes"] == "carla"
    assert run["contradictions"] == {"drive_0": []}
    with BagReader(out / "drive_0") as reader:
        for simulated in drive_sets:
            boxes = reader.objects(simulated.frame_set.stamp_ns)
            assert boxes is not None
            for box, truth in zip(boxes, simulated.objects, strict=True):
                assert box.pose.is_close(truth.pose, 1e-5, 1e-5)
    assert find_bags([out]) == [out / "drive_0"]
    (prepared,) = prepare_bags(
        [out / "drive_0"], tmp_path / "cache", ExtractionSettings((64, 96)), 1, False
    )
    assert len(prepared) == 6
    assert len(prepared.sample(0).objects) == len(drive_sets[0].objects)


def test_check_draws_what_is_declared_and_what_fits(
    bev: Callable, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "check"
    refused = bev(
        "carla", "check", data, "--out", out, "--set", "camera_axes=body", "ego_axes=body"
    )
    assert refused.code == 2
    assert "left looks right (-90 deg), right looks left (90 deg)" in refused.error
    assert "camera_axes: carla, ego_axes: carla" in refused.error
    assert f"see the pictures in {out}" in refused.error
    names = {path.name for path in out.iterdir()}
    for which in ("as_declared", "as_it_fits"):
        for number in (0, 5):
            assert f"drive_0_{which}_{number:06d}.jpg" in names
    fits = cv2.imread(str(out / "drive_0_as_it_fits_000000.jpg"))
    declared = cv2.imread(str(out / "drive_0_as_declared_000000.jpg"))
    assert fits.shape == declared.shape
    assert (np.abs(fits.astype(int) - declared).max(axis=2) > 60).mean() > 0.05
    ranking = json.loads((out / "drive_0.json").read_text())["parts"]["cameras"]
    assert ranking[0]["reading"].startswith("extrinsics ego_T_camera, camera_axes carla")
    assert "declared, refused" in (out / "drive_0.txt").read_text()
    assert "data:image/jpeg;base64" in (out / "drive_0.html").read_text()


def test_what_check_proposes_can_be_imported(bev: Callable, data: Path, tmp_path: Path) -> None:
    (data / "layout.yaml").unlink()
    lacking = bev("carla", "import", data, "--out", tmp_path / "out")
    assert lacking.code == 2
    assert "layout.yaml is missing" in lacking.error
    assert "bev carla check" in lacking.error
    proposed = bev("carla", "check", data, "--out", tmp_path / "check")
    assert proposed.code == 0, proposed.err
    text = proposed.out.split("look right:\n\n")[1].split("\n\n")[0]
    assert yaml.safe_load(text) | {"object_ids": "stable"} == TRUTH.to_dict()
    (data / "layout.yaml").write_text(text)
    assert bev("carla", "import", data, "--out", tmp_path / "out").code == 0


def test_a_contradicted_declaration_is_imported_only_on_demand(
    bev: Callable, data: Path, tmp_path: Path
) -> None:
    declare(data, replace(TRUTH, box_sizes="full"))
    out = tmp_path / "out"
    refused = bev("carla", "import", data, "--out", out)
    assert refused.code == 2
    assert "What fits" in refused.error
    assert "box_sizes: half" in refused.error
    assert not out.exists()
    done = bev("carla", "import", data, "--out", out, "--trust-declaration")
    assert done.code == 0, done.err
    assert "contradicted: boxes" in done.out
    (text,) = json.loads((out / "run.json").read_text())["contradictions"]["drive_0"]
    assert "box_sizes full" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "camera_axes"], "--set camera_axes: expected KEY=VALUE"),
        (["--set", "camera_axis=body"], "unknown key 'camera_axis'; did you mean camera_axes"),
        (["--moments", "0"], "--moments must be at least 1"),
        (["--jpeg-quality", "101"], "--jpeg-quality must lie"),
        (["--set", "cameras=[a, b]"], "has 4 cameras, the declaration names 2"),
    ],
)
def test_mistakes_are_one_line(
    options: list[str], message: str, bev: Callable, data: Path, tmp_path: Path
) -> None:
    done = bev("carla", "import", data, "--out", tmp_path / "out", *options)
    assert done.code == 2
    assert message in done.error
    assert not (tmp_path / "out").exists()


def test_folders_without_samples_say_what_is_expected(bev: Callable, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, message in (("nowhere", "does not exist"), ("empty", "holds no samples; expected")):
        done = bev("carla", "import", tmp_path / name, "--out", tmp_path / "out")
        assert done.code == 2
        assert message in done.error
