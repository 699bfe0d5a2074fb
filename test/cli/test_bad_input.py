# SPDX-License-Identifier: Apache-2.0
"""Every bad input: one line that names it, exit 2, no traceback, nothing left behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BAD_BAGS: dict[str, tuple[dict[str, Any], str]] = {
    "no camera topics": ({"cameras": ()}, "no camera topics.*ground_truth/objects"),
    "no CameraInfo": ({"infos": ("front",)}, "'left'.*no CameraInfo.*record that topic"),
    "k[0] = 0": ({"focal": 0.0}, r"camera_info.*(k\[0\]|fx)"),
    "missing transform": ({"mounted": ("front",)}, "'left'.*left_optical_frame.*rig file"),
    "never together": ({"offset_s": {"left": 30.0}}, "no two cameras.*clocks"),
    "unknown encoding": ({"encoding": "yuv9"}, "image_raw.*yuv9"),
}


@pytest.fixture
def command(bev: Callable, weights: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs a command that must fail properly, returns its line."""

    def run(name: str, *arguments: object) -> str:
        if name != "inspect" and "--weights" not in arguments:
            arguments = (*arguments, "--weights", weights)
        before = sorted(tmp_path.rglob("*"))
        result = bev(name, *arguments, "--out", tmp_path / "results" / "out")
        assert result.code == 2, result.out + result.err
        assert "Traceback" not in result.err
        assert result.error.startswith(f"bev {name}: error: ")
        assert sorted(tmp_path.rglob("*")) == before, "something was left behind"
        return result.error

    return run


@pytest.mark.parametrize("name", ["inspect", "run", "evaluate"])
@pytest.mark.parametrize("defect", BAD_BAGS)
def test_a_bag_that_cannot_be_used(
    command: Callable, make_bag: Callable, name: str, defect: str
) -> None:
    choices, message = BAD_BAGS[defect]
    error = command(name, make_bag(**choices))
    assert re.search(message, error), error


def test_an_error_stands_on_a_line_of_its_own(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    """Not behind a progress bar, and inspect counts it among the findings."""
    bag = make_bag(label_frame="lidar")
    for arguments in (("run", bag, "--weights", weights), ("inspect", bag)):
        result = bev(*arguments, "--out", tmp_path / "out")
        assert result.code == 2
        assert re.search(r"ground_truth/objects.*'lidar'.*'base_link'", result.error)
    assert result.out.count("no transform from its frame 'lidar'") == 1
    assert "nothing to complain about" not in result.out


@pytest.mark.parametrize("name", ["inspect", "run", "evaluate"])
def test_a_missing_bag(command: Callable, name: str, tmp_path: Path) -> None:
    error = command(name, tmp_path / "absent")
    assert re.search(r"absent.*(no such bag|does not exist)", error)


@pytest.mark.parametrize("name", ["inspect", "run", "evaluate"])
def test_a_truncated_bag(command: Callable, make_bag: Callable, name: str) -> None:
    storage = next(make_bag().glob("*.mcap"))
    storage.write_bytes(storage.read_bytes()[:5000])
    assert "cannot be read as a ROS 2 bag" in command(name, storage.parent)


def test_a_rig_file_with_a_typo(command: Callable, make_bag: Callable, tmp_path: Path) -> None:
    rig = tmp_path / "car.yaml"
    rig.write_text("cameras:\n  front: {widht: 96}\n")
    for name in ("inspect", "run", "evaluate"):
        bag = tmp_path / "bag"
        error = command(name, bag if bag.exists() else make_bag(), "--rig", rig)
        assert re.search(r"car\.yaml.*front.*widht.*width", error), error


def test_weights_that_cannot_be_used(
    command: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    bag = make_bag()
    whole = weights.read_bytes()
    corrupt, cut, foreign = (tmp_path / f"{n}.safetensors" for n in ("corrupt", "cut", "foreign"))
    corrupt.write_bytes(whole[:-40] + bytes(40))
    cut.write_bytes(whole[: len(whole) // 2])
    foreign.write_bytes(b"\x80\x04pickle" * 50)
    for name in ("run", "evaluate"):
        for path in (corrupt, cut, foreign, tmp_path / "absent.safetensors"):
            assert path.name in command(name, bag, "--weights", path)
        assert "no shipped weights named 'huge'" in command(name, bag, "--weights", "huge")


def test_an_unlabelled_bag_cannot_be_evaluated(command: Callable, make_bag: Callable) -> None:
    assert "labels" in command("evaluate", make_bag(labels=False))


def test_weights_are_not_calibrated_on_a_bag_that_gives_nothing(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    """Beside another that would be enough alone."""
    fit, mute, out = tmp_path / "fit", tmp_path / "mute", tmp_path / "calibrated.safetensors"
    make_bag().rename(fit)
    make_bag(labels=False).rename(mute)
    for bags in ((fit, mute), (mute, fit)):
        result = bev("calibrate", *bags, "--weights", weights, "--device", "cpu", "--out", out)
        assert result.code == 2
        assert f"{mute} has no camera set with labels within its time" in result.error
        assert not out.exists()


def test_a_device_that_is_not_there(command: Callable, make_bag: Callable) -> None:
    assert "cuda:7" in command("run", make_bag(), "--device", "cuda:7")


def test_a_place_that_cannot_be_written(
    bev: Callable, make_bag: Callable, weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    result = bev("run", make_bag(), "--weights", weights, "--out", tmp_path / "file" / "out")
    assert result.code == 2
    assert "file" in result.error


def test_simulation_and_demo_refuse_a_bad_rig_before_any_work(
    bev: Callable, weights: Path, tmp_path: Path
) -> None:
    rig = tmp_path / "car.yaml"
    rig.write_text("cameras:\n  front: {width: 96, height: 64, horizontal_fov_deg: 100}\n")
    for arguments in (("simulate", "--town", "1"), ("demo", "--weights", weights)):
        result = bev(*arguments, "--rig", rig, "--out", tmp_path / "out")
        assert result.code == 2
        assert re.search(r"car\.yaml.*front.*no mounting", result.error)
    assert list(tmp_path.iterdir()) == [rig]


def test_simulation_refuses_cameras_that_would_crash_the_renderer(
    bev: Callable, weights: Path, tmp_path: Path
) -> None:
    rig = tmp_path / "car.yaml"
    rig.write_text(
        "cameras:\n  front: {width: 1000000000, height: 64, horizontal_fov_deg: 100, "
        "position: [0, 0, 1.6], rpy_deg: [0, 0, 0]}\n"
    )
    for arguments in (("simulate", "--town", "1"), ("demo", "--weights", weights)):
        result = bev(*arguments, "--rig", rig, "--out", tmp_path / "out")
        assert result.code == 2
        assert re.search(r"car\.yaml.*'front'.*1000000000x64.*at most", result.error)
    assert list(tmp_path.iterdir()) == [rig]


def test_a_training_that_fails_leaves_no_folders(
    bev: Callable, make_bag: Callable, tmp_path: Path
) -> None:
    bag = make_bag(encoding="yuv9")
    result = bev("train", bag, "--data.extraction_processes", 1, "--out", tmp_path / "a" / "out")
    assert result.code == 2
    assert "yuv9" in result.error
    assert list(tmp_path.iterdir()) == [bag]
