# SPDX-License-Identifier: Apache-2.0
"""bev view of bags: all they hold is in the recording, and what cannot be shown is said."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rerun", reason="the extra 'view' is not installed")

from rerun_recording import Recording

from bev_perception.bags import BagWriter
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform

SECOND = 1_000_000_000
GRID = BevGrid.centered(16.0, 1.0)
BASE = "/world/base_link"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """A bag as bev run leaves it, at the stamps of make_bag's sets."""
    path = tmp_path / "output"
    pose = RigidTransform.from_euler(translation=(9.2, 1.1, 0.8))
    car = ObjectBox("car", 5, pose, np.array([4.5, 1.9, 1.6]), score=0.8)
    with BagWriter(path) as writer:
        for index in range(3):
            output = BevOutput(
                stamp_ns=SECOND + index * SECOND // 10,
                grid=GRID,
                probability=np.full(GRID.shape, 0.25 * index, np.float32),
                unknown=np.zeros(GRID.shape, bool),
                center=np.zeros(GRID.shape, np.float32),
                offset=np.zeros((2, *GRID.shape), np.float32),
                objects=(car,),
            )
            writer.write_output(output, 0.5)
    return path


def test_a_drive_and_its_outputs_are_one_recording(
    bev: Callable, make_bag: Callable, outputs: Path, tmp_path: Path
) -> None:
    file = tmp_path / "shown" / "drive.rrd"
    result = bev("view", make_bag(), outputs, "--save", file)
    assert result.code == 0, result.err
    assert "6 images" in result.out
    assert "3 outputs" in result.out
    recording = Recording(file)
    stamps = [SECOND + index * SECOND // 10 for index in range(3)]
    for path in (
        f"{BASE}/camera/front/image",
        f"{BASE}/camera/left/image",
        f"{BASE}/ground/occupancy",
        f"{BASE}/predicted/boxes",
        f"{BASE}/predicted/centers",
        f"{BASE}/truth/boxes",
        "/bev/probability",
        BASE,
    ):
        assert recording.stamps(path) == stamps, path
    truth = recording.array(f"{BASE}/truth/boxes", "Boxes3D:centers", stamps[2])
    assert truth == pytest.approx(np.array([[9.0, 1.0, 0.8]]), abs=1e-5)
    assert recording.values(f"{BASE}/predicted/boxes", "Boxes3D:labels", stamps[0]) == [
        "car 5 0.80"
    ]
    assert recording.transform(BASE, stamps[2]).translation == pytest.approx((1.0, 0.0, 0.0))


def test_outputs_alone_can_be_looked_at(bev: Callable, outputs: Path, tmp_path: Path) -> None:
    result = bev("view", outputs, "--save", tmp_path / "view.rrd")
    assert result.code == 0, result.err
    assert f"{BASE}/ground/occupancy" in Recording(tmp_path / "view.rrd").entities


def test_chosen_cameras_alone_are_shown(bev: Callable, make_bag: Callable, tmp_path: Path) -> None:
    assert bev("view", make_bag(), "--cameras", "left", "--save", tmp_path / "v.rrd").code == 0
    entities = Recording(tmp_path / "v.rrd").entities
    assert f"{BASE}/camera/left/image" in entities
    assert f"{BASE}/camera/front/image" not in entities


def test_images_without_calibration_are_shown_and_the_lack_is_said(
    bev: Callable, make_bag: Callable, tmp_path: Path
) -> None:
    result = bev("view", make_bag(infos=(), labels=False), "--save", tmp_path / "v.rrd")
    assert result.code == 0, result.err
    assert "warning: images are shown without their place in the scene" in result.err
    assert f"{BASE}/camera/left/image" in Recording(tmp_path / "v.rrd").entities


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("BAG", "--cameras", "top", "--save", "v.rrd"), "no bag has a camera top"),
        (("BAG", "--save", "v.mp4"), ".rrd"),
        (("BAG", "--save", "there.rrd"), "there.rrd exists; --overwrite"),
        (("BAG", "--save", "v.rrd", "--serve"), "--save and --serve exclude each other"),
        (("BAG", "--connect", "robot"), "rerun+http://HOST:9876/proxy"),
        (("nowhere", "--save", "v.rrd"), "nowhere"),
        (("BAG", "--save", "v.rrd", "--image-quality", "0"), "1..100"),
        (("--rig", "car.yaml"), "--rig is for bags"),
    ],
)
def test_bad_input_is_one_line(
    bev: Callable,
    make_bag: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.rrd").touch()
    bag = make_bag()
    before = sorted(tmp_path.rglob("*"))
    result = bev("view", *(str(bag) if word == "BAG" else word for word in arguments))
    assert result.code == 2
    assert message in result.error
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bag_with_nothing_to_show_is_named(
    bev: Callable, make_bag: Callable, tmp_path: Path
) -> None:
    bag = make_bag(cameras=(), labels=False)
    result = bev("view", bag, "--save", tmp_path / "v.rrd")
    assert result.code == 2
    assert "no cameras, no labels, and no outputs" in result.error


def test_ctrl_c_ends_serving_a_bag(make_bag: Callable) -> None:
    ports = []
    for _ in range(2):
        with socket.socket() as server:
            server.bind(("", 0))
            ports.append(str(server.getsockname()[1]))
    arguments = ("view", str(make_bag()), "--serve", "--port", ports[0], "--web-port", ports[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "bev_perception.cli.main", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    try:
        said = next(line for line in process.stderr if "in a browser" in line)
        assert f"http://localhost:{ports[1]}/" in said
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_without_rerun_the_extra_is_named(
    bev: Callable, make_bag: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if "visualization.rerun_" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rerun", None)
    monkeypatch.setitem(sys.modules, "rerun.blueprint", None)
    result = bev("view", make_bag())
    assert result.code == 2
    assert "pip install 'bev_perception[view]'" in result.error
