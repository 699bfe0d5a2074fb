# SPDX-License-Identifier: Apache-2.0
"""Faults are named, the node goes on with what it can, and is back when they end.

The short form injects several faults at a time, each into another camera; the long one (slow) is
benchmarks/faults.py: every fault alone, held to a second. Here a busy machine has some more.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed: `make ros` generates it")

from diagnoses import ERROR, OK, WARN, Diagnoses
from fault_observer import FaultObserver
from fault_table import BEGIN, END, between_marks
from fault_trials import CLOCK_TRIALS, ENGINE_TRIALS, HELD_S, MESSAGE_TRIALS, judged, problems
from faulty_drivers import FaultyDrivers
from ros_client import Client
from ros_processes import wait_for

from bev_perception.faults import FAULTS, Choice, Injection
from bev_perception.faults.calls import FAILURE, ONCE, CallOrders
from bev_perception.geometry import Rig

ROOT = Path(__file__).resolve().parents[2]
BUSY_MACHINE_S = 5.0


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> CallOrders:
    """What the network obeys."""
    return CallOrders(tmp_path_factory.mktemp("orders") / "orders")


@pytest.fixture(scope="module")
def drivers(
    perception_node_of_module: Callable[..., Any],
    client_of_module: Client,
    small_rig: Rig,
    orders: CallOrders,
) -> Iterator[FaultyDrivers]:
    """Drivers at 10 Hz of a node whose network obeys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        perception_node_of_module(
            command=("sabotaged_node", orders.path), backend="cpu", latency_budget_ms=0
        )
    made = FaultyDrivers(client_of_module, small_rig)
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def observer(drivers: FaultyDrivers, client_of_module: Client) -> FaultObserver:
    """Hears grids and diagnostics."""
    return FaultObserver(client_of_module, "bev", drivers.now_ns)


@pytest.fixture(scope="module")
def diagnoses(drivers: FaultyDrivers, client_of_module: Client) -> Diagnoses:
    """Waits for diagnostics."""
    return Diagnoses(client_of_module, "bev")


@pytest.fixture(autouse=True)
def healthy_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails leaves no fault to the next one."""
    yield
    if "drivers" in request.fixturenames:
        request.getfixturevalue("orders").revoke()
        request.getfixturevalue("drivers").inject()


def settled(observer: FaultObserver) -> int:
    """Unknown cells of the grids of a node that is well, of which several came alike."""
    wait_for(observer.is_settled, what=lambda: f"a healthy node: {observer.reports[-1:]}")
    return observer.grids[-1].unknown


def of(camera: str, fault: str) -> Injection:
    return Injection(FAULTS[fault], Choice(cameras=(camera,)))


def test_faults_of_four_cameras_at_once(
    drivers: FaultyDrivers, observer: FaultObserver, diagnoses: Diagnoses
) -> None:
    usual = settled(observer)
    began = time.monotonic()
    drivers.inject(
        of("front", "frozen"),
        of("left", "noisy"),
        of("rear", "truncated"),
        of("right", "stamps_future"),
    )
    diagnoses.wait(
        {
            "camera front": (WARN, "the same to the last bit"),
            "camera left": (WARN, "its images are noise"),
            "camera rear": (WARN, "the message is damaged"),
            "camera right": (WARN, "10.0 s ahead of the other cameras'"),
        }
    )
    assert time.monotonic() - began < 1.0 + BUSY_MACHINE_S
    named = len(observer.grids)
    wait_for(lambda: len(observer.grids) > named + 2, what="grids of the cameras that are left")
    meanwhile = observer.grids[named:]
    assert all(grid.unknown > usual for grid in meanwhile), "right and rear are missing"
    assert max(grid.age_s for grid in meanwhile) < 1.0 + BUSY_MACHINE_S
    drivers.inject()
    ended = time.monotonic()
    wait_for(lambda: observer.grids[-1].unknown == usual, what="a grid of all cameras")
    diagnoses.wait_well()
    assert time.monotonic() - ended < 1.0 + BUSY_MACHINE_S


def test_calibration_pose_and_network_at_once(
    drivers: FaultyDrivers,
    observer: FaultObserver,
    diagnoses: Diagnoses,
    orders: CallOrders,
) -> None:
    usual = settled(observer)
    drivers.inject(
        of("left", "info_nan"),
        Injection(FAULTS["tf_contradictory"], Choice(frames=("base_link",))),
    )
    orders.give(ONCE + FAILURE)
    wait_for(
        lambda: any("injected failure" in report["engine"][1] for _, report in observer.reports),
        what="a failure that is named although the next set went well",
    )
    diagnoses.wait(
        {
            "camera left": (WARN, "going on with the CameraInfo before it"),
            "transforms": (WARN, "two publishers disagree"),
        }
    )
    named = len(observer.grids)
    wait_for(lambda: len(observer.grids) > named + 2, what="grids")
    assert all(grid.unknown == usual for grid in observer.grids[named:]), "no camera is lost"
    drivers.inject()
    diagnoses.wait_well()
    diagnoses.wait({"transforms": (OK, "")})


def test_a_network_that_always_fails_publishes_nothing(
    drivers: FaultyDrivers,
    observer: FaultObserver,
    diagnoses: Diagnoses,
    orders: CallOrders,
) -> None:
    settled(observer)
    orders.give(FAILURE)
    diagnoses.wait({"engine": (ERROR, "injected failure")})
    silent_from = len(observer.grids)
    wait_for(lambda: len(observer.reports) > 3 and not observer.is_well())
    assert len(observer.grids) <= silent_from + 1
    orders.revoke()
    wait_for(observer.is_well, what="a healthy node")
    assert observer.grids[-1].age_s < 1.0 + BUSY_MACHINE_S


def test_what_is_promised_is_judged(client_of_module: Client) -> None:
    from fault_observer import HeardGrid

    heard = FaultObserver(client_of_module, "nobody")
    trial = next(trial for trial in MESSAGE_TRIALS if trial.name == "black")
    well = {trial.part: (0, "10 images per second")}
    heard.grids = [HeardGrid(at / 10, 0.02, 5 if 100 <= at <= 122 else 4) for at in range(160)]
    black = {trial.part: (2, "camera front: image is black")}
    heard.reports = [(9.0, well), (10.3, black), (12.2 + 0.6, well)]
    outcome = judged(trial, heard, 10.0, 10.0 + HELD_S)
    assert (round(outcome.named_ms or 0), round(outcome.back_ms or 0)) == (300, 100)
    assert (outcome.with_fewer, problems(outcome)) == (1.0, [])
    heard.reports = [(9.0, well), (11.3, black)]
    heard.grids = [HeardGrid(9.0, 0.02, 4), HeardGrid(9.1, 0.02, 4), HeardGrid(11.9, 2.5, 5)]
    found = problems(judged(trial, heard, 10.0, 10.0 + HELD_S))
    assert [text.split()[0] for text in found] == ["named", "back", "diagnostics", "a"]


def test_the_document_has_a_row_for_every_fault() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = text.partition(BEGIN)[2].partition(END)[0]
    for trial in (*MESSAGE_TRIALS, *ENGINE_TRIALS, *CLOCK_TRIALS):
        assert f"{trial.text} |" in rows, trial.text
    assert between_marks(text, rows.strip()).count(BEGIN) == 1


@pytest.mark.slow
def test_every_fault_is_named_and_over_within_a_second() -> None:
    """On a machine that has nothing else to do."""
    command = [sys.executable, str(ROOT / "benchmarks" / "faults.py")]
    result = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
