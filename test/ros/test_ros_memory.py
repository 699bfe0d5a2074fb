# SPDX-License-Identifier: Apache-2.0
"""The memory of a network in a live node: clocks set back, teleports, poses that are late or lack.

All tests of a kind share a node, and every set shows the same images: so grids differ by what is
remembered alone, and those of a memory that has emptied itself are those of a fresh one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from grid_messages import SECOND, cells, stamp_of
from numpy.typing import NDArray
from tiny_network import CONFIG

from bev_perception.geometry import Rig, RigidTransform
from bev_perception.model import Segnet, save_weights
from bev_perception.model.memory_config import MemoryConfig

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed: `make ros` generates it")

from diagnoses import OK, PERIOD_S, WARN, Diagnoses
from nav_msgs.msg import OccupancyGrid
from ros_cameras import Cameras
from ros_client import Client
from ros_processes import RosProcess, wait_for
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage

STEP_NS, STEP_M = SECOND // 4, 1.0
FAR_M = 512.0
"""A power of two: places beyond it are as exact as those before."""

TF_TIMEOUT_MS = 30
"""Sets wait ten times as long, because the simulated time stands still meanwhile."""


class Drive:
    """A vehicle with cameras at 4 m/s, in simulated time that a test may set back."""

    def __init__(self, client: Client, rig: Rig, node: Callable[[], RosProcess]) -> None:
        self._client = client
        self._grids = client.collect("/bev/probability_grid", OccupancyGrid)
        self._diagnoses = Diagnoses(client, "bev")
        self._cameras = Cameras(client, rig)
        self._cameras.publish_static()
        client.publisher("/clock", Clock)
        client.publisher("/tf", TFMessage)
        self._stamp_ns, self.place_m = 1000 * SECOND, 0.0
        self.process = node()
        self._cameras.wait_matched()
        wait_for(self._is_seen_by_all, what="a grid of all cameras")
        self.fresh = self.go_on(4)

    def close(self) -> None:
        self._cameras.close()

    def go_on(self, count: int) -> list[NDArray[np.int8]]:
        """Grids of further sets, each with its pose."""
        grids = []
        for _ in range(count):
            stamp_ns = self._next()
            pose = RigidTransform.from_euler(translation=(self.place_m, 0.0, 0.0))
            self._cameras.publish_pose(stamp_ns, pose)
            grids.append(self._grid(self._send()))
        return grids

    def begin_anew(self) -> list[NDArray[np.int8]]:
        """After so long a time that nothing is remembered."""
        self.pass_time(100 * SECOND)
        return self.go_on(4)

    def go_on_without_pose(self) -> NDArray[np.int8]:
        """Grid of a set whose pose does not come."""
        self._next()
        return self._grid(self._send())

    def pass_time(self, duration_ns: int) -> None:
        """Backwards, too; the node has noticed it then."""
        begun = self._num_jumps()
        self._stamp_ns += duration_ns
        self._tell_time(self._stamp_ns)
        if duration_ns < 0:
            wait_for(lambda: self._num_jumps() > begun, what="a clock set back")

    def wait_memory(self, words: str) -> str:
        """Until diagnostics say so of the memory; all that they say of it."""
        wait_for(
            lambda: words in self.memory(),
            what=lambda: f"{words!r} in {self.memory()!r}",
        )
        return self.memory()

    def fresh_memory(self) -> str:
        """What diagnostics say of the memory after this call."""
        return self._diagnoses.fresh_values("engine")["memory"]

    def memory(self) -> str:
        return self._diagnoses.values("engine")["memory"]

    def wait_engine(self, level: bytes, words: str, send: Callable[[], object]) -> None:
        """Until the engine's status says so, while sets go on to come."""

        def fits() -> bool:
            send()
            status = self._diagnoses.newest()["engine"]
            return status.level == level and words in status.message

        wait_for(fits, what=lambda: f"{words!r}: {self._diagnoses.newest()['engine'].message}")

    def _next(self) -> int:
        self._stamp_ns, self.place_m = self._stamp_ns + STEP_NS, self.place_m + STEP_M
        return self._stamp_ns

    def _send(self) -> int:
        self._tell_time(self._stamp_ns)
        return self._cameras.publish(self._stamp_ns)

    def _tell_time(self, stamp_ns: int) -> None:
        clock = Clock()
        clock.clock.sec, clock.clock.nanosec = divmod(stamp_ns, SECOND)
        self._client.publish("/clock", clock)

    def _is_seen_by_all(self) -> bool:
        """Sends a set without a pose, which no memory takes in."""
        self._next()
        self._send()
        return "from 4 cameras" in self.process.log

    def _grid(self, stamp_ns: int) -> NDArray[np.int8]:
        """That of a stamp; those before are forgotten, as a clock set back uses stamps again."""
        found = cells(self._grids.wait_until(lambda grid: stamp_of(grid) == stamp_ns))
        self._grids.clear()
        return found

    def _num_jumps(self) -> int:
        return self.process.log.count("time went backwards")


@pytest.fixture(scope="module", params=["gru", "queue"])
def drive(
    request: pytest.FixtureRequest,
    perception_node_of_module: Callable[..., RosProcess],
    client_of_module: Client,
    small_rig: Rig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Drive]:
    """Of a node whose network makes much of what it remembers."""
    torch.manual_seed(0)
    model = Segnet(replace(CONFIG, memory=MemoryConfig(request.param, anchor_m=1.0)))
    assert model.memory is not None
    torch.nn.init.normal_(model.memory.to_bev.weight, std=0.5)
    weights = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    save_weights(weights, model, {"recipe": "none"})
    found = Drive(client_of_module, small_rig, lambda: start(perception_node_of_module, weights))
    yield found
    found.close()
    found.process.stop()


def start(node: Callable[..., RosProcess], weights: Path) -> RosProcess:
    return node(
        weights=str(weights),
        use_sim_time=True,
        diagnostics_period_s=PERIOD_S,
        precision="fp32",
        min_cameras=4,
        tf_timeout_ms=TF_TIMEOUT_MS,
        sync_timeout_ms=5000,
        image_reliability="reliable",
    )


def assert_fresh(grids: list[NDArray[np.int8]], drive: Drive) -> None:
    """As a node answers that has just begun."""
    assert not np.array_equal(drive.fresh[0], drive.fresh[1]), "it makes no use of memory"
    assert not np.array_equal(drive.fresh[1], drive.fresh[2]), "it makes no use of memory"
    for grid, expected in zip(grids, drive.fresh, strict=True):
        np.testing.assert_array_equal(grid, expected)
    assert drive.process.process.poll() is None


def test_a_clock_set_back_empties_it_and_diagnostics_say_so(drive: Drive) -> None:
    drive.begin_anew()
    drive.pass_time(-50 * SECOND)
    assert_fresh(drive.go_on(4), drive)
    drive.wait_memory("last because time ran 49.75 s backwards")


def test_a_teleport_empties_it_and_diagnostics_say_so(drive: Drive) -> None:
    drive.begin_anew()
    drive.place_m += FAR_M
    assert_fresh(drive.go_on(4), drive)
    drive.wait_memory(f"last because the vehicle jumped by {FAR_M + STEP_M:.1f} m within 0.25 s")


def test_without_a_pose_it_is_not_used_and_the_engine_warns(drive: Drive) -> None:
    drive.begin_anew()
    drive.pass_time(5 * SECOND)
    alone = drive.go_on_without_pose()
    np.testing.assert_array_equal(alone, drive.fresh[0])
    words = "memory not used: the vehicle's pose is not known"
    drive.wait_engine(WARN, words, lambda: drive.go_on_without_pose())
    drive.wait_engine(OK, "sets per second", lambda: drive.go_on(1))


def test_a_late_pose_is_not_taken_for_that_of_the_set(drive: Drive) -> None:
    """TF at 1.3 Hz, sets at 4 Hz: those with a pose of their own time remember each other."""
    drive.begin_anew()
    emptied = drive.fresh_memory().partition("emptied")[2]
    assert emptied
    for _ in range(2):
        for _ in range(2):
            np.testing.assert_array_equal(drive.go_on_without_pose(), drive.fresh[0])
        [exact] = drive.go_on(1)
        assert not np.array_equal(exact, drive.fresh[0])
    assert drive.fresh_memory().endswith(emptied)
    words = "memory not used: the vehicle's newest pose is 0."
    drive.wait_engine(WARN, words, lambda: (drive.go_on_without_pose(), drive.go_on(1)))
    drive.process.wait_for_log("memory is not used at .* newest pose is 0.25 s older")
    drive.wait_engine(OK, "sets per second", lambda: drive.go_on(1))
