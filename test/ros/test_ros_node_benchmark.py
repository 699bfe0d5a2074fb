# SPDX-License-Identifier: Apache-2.0
"""benchmarks/ros_node.py runs to its table on any machine; its figures are not tested here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bev_perception.bags import BagWriter
from bev_perception.geometry import CameraFrame, FrameSet, Rig, RigidTransform

pytest.importorskip("rclpy")

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "ros_node.py"
SETS = 30


@pytest.fixture
def short_bag(tmp_path: Path, small_rig: Rig) -> Path:
    """Three sets of noise, to be played over and over."""
    generator = np.random.default_rng(0)
    with BagWriter(tmp_path / "short") as writer:
        for index in range(3):
            stamp_ns = 1_000_000_000 + index * 100_000_000
            frames = {}
            for name, entry in small_rig.cameras.items():
                shape = (entry.camera.height, entry.camera.width, 3)
                image = generator.integers(0, 255, shape, dtype=np.uint8)
                frames[name] = CameraFrame(name, stamp_ns, image)
            pose = RigidTransform.from_euler(translation=(0.1 * index, 0.0, 0.0))
            writer.write_frame_set(FrameSet(stamp_ns, frames, (), pose), small_rig)
    return tmp_path / "short"


@pytest.mark.slow
def test_sets_are_played_on_and_on_and_all_accounted_for(
    short_bag: Path, fast_weights: Path
) -> None:
    command = [sys.executable, BENCHMARK, "--bag", short_bag, "--weights", fast_weights]
    command += ["--rate-hz", "10", "--minutes", str(SETS / 600), "--rock-deg", "1"]

    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=120, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr
    counts = re.search(r"sets: (\d+) sent, (\d+) served .* (\d+) lost", result.stdout)
    assert counts is not None, result.stdout + result.stderr
    sent, served, lost = map(int, counts.groups())
    assert sent == SETS
    assert served + lost == sent
    assert served > 0
    for stage in ("wait", "decode", "engine", "publish", "node", "age"):
        assert re.search(rf"^  {stage} +(\d+\.\d\d *){{4}}$", result.stdout, re.MULTILINE)
    assert re.search(r"^  perception_node +\d", result.stdout, re.MULTILINE)
