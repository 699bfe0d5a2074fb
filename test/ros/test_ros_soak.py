# SPDX-License-Identifier: Apache-2.0
"""benchmarks/soak.py in short: a looping bag, one fault after the other, a node that is well again.

Its judgement of growth is tested on made-up runs; a short real one only has to be judged.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bev_perception.bags import BagWriter
from bev_perception.geometry import CameraFrame, FrameSet, Rig, RigidTransform

pytest.importorskip("rclpy")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SETS, PERIOD_NS = 20, 100_000_000


@pytest.fixture
def looping_bag(tmp_path: Path, small_rig: Rig) -> Path:
    """Two seconds of smooth images from four small cameras."""
    generator = np.random.default_rng(0)
    with BagWriter(tmp_path / "loop") as writer:
        for index in range(SETS):
            stamp_ns = 1_000_000_000 + index * PERIOD_NS
            frames = {}
            for name, entry in small_rig.cameras.items():
                rough = generator.integers(0, 255, (8, 12, 3), dtype=np.uint8)
                image = cv2.resize(rough, (entry.camera.width, entry.camera.height))
                frames[name] = CameraFrame(name, stamp_ns, image)
            pose = RigidTransform.from_euler(translation=(0.1 * index, 0.0, 0.0))
            writer.write_frame_set(FrameSet(stamp_ns, frames, (), pose), small_rig)
    return tmp_path / "loop"


def soak(folder: Path, *options: object) -> tuple[int, str, dict[str, Any]]:
    """Exit code, what was printed, and soak.json."""
    command = [sys.executable, BENCHMARKS / "soak.py", "--out", folder, *options]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=600, check=False
    )
    report = folder / "soak.json"
    assert report.is_file(), result.stdout + result.stderr
    return result.returncode, result.stdout + result.stderr, json.loads(report.read_text())


def test_a_short_soak_is_noted_drawn_and_judged_and_the_node_is_well_afterwards(
    ros_environment: Any, tmp_path: Path, looping_bag: Path, fast_weights: Path
) -> None:
    code, printed, report = soak(
        tmp_path / "soak",
        *("--bag", looping_bag, "--weights", fast_weights, "--growth-mb", 200),
        *("--minutes", 0.1, "--window-s", 0.5, "--fault-factor", 8),
    )

    assert report["recovered"], printed
    assert report["clock_jumps"] >= 2
    assert len({fault["fault"] for fault in report["faults"]}) >= 5
    assert len(report["windows"]) == 12
    assert sum(window["grids"] for window in report["windows"]) > 20
    assert report["verdict"]["memory_mb"]["ok"], printed
    assert code == (0 if report["verdict"]["ok"] else 1), printed
    assert "After the last fault the node was well again." in printed
    picture = cv2.imread(str(tmp_path / "soak" / "soak.png"))
    assert picture.std() > 5.0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_minutes_of_faults_leave_memory_and_latency_as_they_were(
    ros_environment: Any, tmp_path: Path, looping_bag: Path, fast_weights: Path
) -> None:
    code, printed, report = soak(
        tmp_path / "soak",
        *("--bag", looping_bag, "--weights", fast_weights, "--minutes", 5, "--window-s", 5),
    )
    assert report["recovered"], printed
    assert report["players_killed"] >= 1
    assert code == 0, printed
