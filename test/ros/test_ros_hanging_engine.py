# SPDX-License-Identifier: Apache-2.0
"""A network that does not answer: noticed within a second, nothing stale goes out, and then on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed: `make ros` generates it")

from diagnoses import ERROR, OK, Diagnoses
from grid_messages import SECOND, stamp_of
from nav_msgs.msg import OccupancyGrid

WATCHDOG_S = 0.6
"""The default."""

NOTICED_S = 1.0
MACHINE_S = 4.0
"""What a busy machine may take beside."""


@pytest.fixture
def hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The network hangs while this file is there."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return tmp_path / "hang"


def test_a_network_that_hangs_is_named_within_a_second_and_comes_back(
    perception_node: Callable[..., Any], client: Any, cameras: Any, hang: Path
) -> None:
    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    diagnoses = Diagnoses(client, "bev")
    perception_node(command=("hanging_engine_node", hang), watchdog_s=WATCHDOG_S)
    cameras.wait_matched()
    cameras.start(10.0)
    diagnoses.wait({"engine": (OK, "sets per second"), "timing": (OK, "within 250 ms")})
    before = len(grids.wait(3))

    hang.touch()
    begun = time.monotonic()
    diagnoses.wait({"engine": (ERROR, "stage engine hangs"), "timing": (ERROR, "hangs")})
    assert time.monotonic() - begun < NOTICED_S + MACHINE_S
    hung_ns = time.time_ns()
    assert len(grids) <= before + 3  # sets that were through when it began to hang
    silent_from = len(grids)

    hang.unlink()
    grids.wait(silent_from + 3)
    for grid in grids.messages[silent_from:]:
        assert stamp_of(grid) > hung_ns - SECOND, "a stale grid was published"
    diagnoses.wait({"engine": (OK, "sets per second"), "timing": (OK, "")})
    values = diagnoses.values("engine")
    assert int(values["dropped: too late"]) >= 1
    assert diagnoses.values("timing")["worst overrun's stage"] == "engine"


@pytest.mark.slow
def test_ctrl_c_ends_a_node_whose_network_hangs(
    perception_node: Callable[..., Any], client: Any, cameras: Any, hang: Path
) -> None:
    hang.touch()
    process = perception_node(command=("hanging_engine_node", hang), watchdog_s=WATCHDOG_S)
    cameras.wait_matched()
    cameras.start(10.0)
    process.wait_for_log("the stage engine hangs")
    assert process.stop() == 0
    assert "its thread is left to itself" in process.log
