# SPDX-License-Identifier: Apache-2.0
"""Whole commands on a tiny rig and weights that have learned nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import pytest

from bev_perception.bags import BagReader
from bev_perception.bags.bag_file import BagFile
from bev_perception.geometry import RigidTransform

KEYFRAME = Path(__file__).parents[3] / "shared" / "data" / "nuscenes_keyframe"


def test_offline_demo_from_simulation_to_report(
    bev: Callable, rig_file: Path, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "demo"
    result = bev(
        "demo", "--offline", "--rig", rig_file, "--weights", weights, "--sets", 3,
        "--pictures", 2, "--out", out,
    )  # fmt: skip
    assert result.code == 0, result.err
    for text in ("IoU", "centre precision", "centre recall", "network", "report.html"):
        assert text in result.out
    names = {path.name for path in out.iterdir()}
    assert names >= {"drive", "output", "metrics.json", "run.json", "report.html", "picture_00.jpg"}
    assert "drive.mp4" in names or "drive.webm" in names
    assert json.loads((out / "metrics.json").read_text())["sets"] == 3
    assert "data:image/jpeg;base64" in (out / "report.html").read_text()
    picture = cv2.imread(str(out / "picture_00.jpg"))
    assert picture.shape[1] == 1920
    with BagReader(out / "output") as reader:
        counts = {topic.name: topic.count for topic in reader.summary().topics}
    for topic in ("occupancy_grid", "probability_grid", "centers", "markers"):
        assert counts[f"/bev/{topic}"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_simulate_goes_on_where_it_was_stopped(
    bev: Callable, rig_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "towns"
    common = ("--rig", rig_file, "--sets", 2, "--rate-hz", 5, "--out", out)
    assert bev("simulate", "--town", 3, *common).code == 0
    before = (out / "town_00003" / "town_00003.mcap").stat().st_mtime_ns
    result = bev("simulate", "--town", "3..4", *common, "--storage", "mcap")
    assert "1 of 2 towns are there already" in result.out
    assert (out / "town_00003" / "town_00003.mcap").stat().st_mtime_ns == before
    with BagReader(out / "town_00004") as reader:
        stamps = [frame.stamp_ns for frame in reader.camera_frames(["left"])]
        assert stamps[1] - stamps[0] == 200_000_000
        assert reader.objects(stamps[0]) is not None
    refused = bev("simulate", "--town", 5, *common[:4], "--rate-hz", 1, "--out", out)
    assert refused.code == 2
    assert "2 bags of other settings (rate_hz 5.0 there, 1.0 now)" in refused.error
    rig_file = Path(shutil.copy(rig_file, tmp_path / "the_same_elsewhere.yaml"))
    moved = bev("simulate", "--town", 3, "--rig", rig_file, *common[2:])
    assert moved.code == 0
    rig_file.write_text(rig_file.read_text().replace("1.6", "1.7"))
    edited = bev("simulate", "--town", 3, "--rig", rig_file, *common[2:], "--overwrite")
    assert "1 bags of other settings (rig_sha256" in edited.error, "town 4 would be another car's"
    assert (out / "town_00003").is_dir()


def test_a_signal_in_the_middle_leaves_nothing(rig_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bev_perception.cli.main", "simulate", "--town", "1..2",
               "--sets", "100000", "--jobs", "2", "--rig", str(rig_file),
               "--out", str(tmp_path / "out")]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.mcap*")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)  # to the parent alone, as a service manager does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_run_on_an_unlabelled_bag(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = bev("run", make_bag(labels=False), "--weights", weights, "--pictures", 1, "--out", out)
    assert result.code == 0, result.err
    assert {path.name for path in out.iterdir()} == {"output", "picture_00.jpg", "run.json"}
    run = json.loads((out / "run.json").read_text())
    assert run["sets"] == 3
    assert run["arguments"]["weights"] == str(weights)
    assert run["model"]["image_size"] == [64, 96]


@pytest.mark.parametrize("map_from", [1, 3])
def test_outputs_of_a_run_are_in_the_frames_of_the_bag_and_the_vehicle_has_one_parent(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path, map_from: int
) -> None:
    bag = make_bag(base_frame="ego_vehicle", world_frame="odom", map_from=map_from, labels=False)
    done = bev("run", bag, "--weights", weights, "--pictures", 0, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    with BagReader(tmp_path / "out" / "output") as reader:
        assert reader.base_frame == "ego_vehicle"
        assert reader.transform_tree.edges() == [("odom", "ego_vehicle", False, 3)]
        pose = reader.world_T_base(10**9 + 2 * 10**8)
    assert pose.is_close(RigidTransform.from_euler(translation=(1.0, 0.0, 0.0)))
    with closing(BagFile(tmp_path / "out" / "output")) as file:
        messages = [file.decode(c, raw) for c, _, raw in file.messages() if "/bev/" in c.topic]
    headers = [getattr(m, "header", None) or m.markers[0].header for m in messages]
    assert {header.frame_id for header in headers} == {"ego_vehicle"}
    assert len(headers) == 12


def test_evaluate_writes_metrics(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    result = bev("evaluate", make_bag(), "--weights", weights, "--out", out)
    assert result.code == 0, result.err
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["bags"], metrics["sets"]) == (1, 3)


def test_inspect_tells_what_is_in_a_bag(bev: Callable, make_bag: Callable, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = bev("inspect", make_bag(labels=False, offset_s={"left": 0.03}), "--out", out)
    assert result.code == 0, result.err
    for text in ("/camera/front/image_raw", "10.00", "96x64", "100.0 deg", "imu_link  (static)"):
        assert text in result.out
    assert "camera left usually comes 30 ms after" in result.out
    assert "no labelled objects" in result.out
    inspection = json.loads((out / "inspection.json").read_text())
    assert inspection["synchronisation"]["complete"] == 3
    assert inspection["cameras"][0]["camera"]["fx"] == pytest.approx(40.3, abs=0.1)
    assert len(inspection["findings"]) >= 2
    assert {path.name for path in out.iterdir()} >= {"cameras_00.jpg", "report.html"}


def test_a_camera_that_is_never_with_the_others_is_the_one_named(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    cameras = ("front", "left", "rear")
    bag = make_bag(cameras=cameras, infos=cameras, mounted=cameras, offset_s={"rear": 30.0})
    told = bev("inspect", bag, "--out", tmp_path / "inspection").out
    assert "camera rear is never within 50 ms of another camera: 3 of 6 sets" in told
    assert "is missing in" not in told
    done = bev("run", bag, "--weights", weights, "--pictures", 0, "--out", tmp_path / "run")
    assert "camera rear: no usable image in 3 of 6 sets (" in done.out


def test_a_stamp_that_falls_back_by_a_microsecond_costs_its_image_alone(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    bag = make_bag(labels=False, stamps={1: 999_999_000})
    done = bev("run", bag, "--weights", weights, "--pictures", 0, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert "camera front: 1 images are older than the one recorded before them" in done.out
    assert json.loads((tmp_path / "run" / "run.json").read_text())["sets"] == 3


def test_a_reader_that_hangs_up_early_loses_no_results(
    bev: Callable, make_bag: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*values: object, **options: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", gone)
    monkeypatch.setattr("os.dup2", lambda *places: None)
    assert bev("inspect", make_bag(), "--out", tmp_path / "out").code == 0
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.skipif(not KEYFRAME.is_dir(), reason="no real keyframe beside this checkout")
def test_the_real_keyframe(bev: Callable, weights: Path, tmp_path: Path) -> None:
    """All six cameras at their real calibration, boxes drawn into the pictures."""
    seen = bev("inspect", KEYFRAME, "--out", tmp_path / "inspection")
    assert seen.code == 0, seen.err
    assert "6 cameras" in seen.out
    picture = cv2.imread(str(tmp_path / "inspection" / "cameras_00.jpg"))
    assert picture.shape[1] == 2400
    done = bev("run", KEYFRAME, "--weights", weights, "--pictures", 1, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["sets"] == 1
    assert len(run["unusable_images"]) == 6
    assert not any(run["unusable_images"].values())
