# SPDX-License-Identifier: Apache-2.0
"""The perception node and its standby, killed and ended, each in processes of its own."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_processes import active_pid
from grid_messages import cells, unknown_cells

from bev_perception.faults.processes import kill_at_once
from bev_perception.geometry import Rig

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

SUPERVISED = ("bev_perception.ros.perception_node", "--standby")


@pytest.mark.slow
def test_a_manager_activates_it_and_its_standby_takes_over_as_it_was(
    perception_node: Callable[..., Any],
    client: Any,
    make_cameras: Callable[..., Any],
    small_rig: Rig,
    fast_weights: Path,
    wait_until: Callable[..., Any],
) -> None:
    from diagnostic_msgs.msg import DiagnosticArray
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState
    from nav_msgs.msg import OccupancyGrid
    from rcl_interfaces.srv import GetParameters

    def change(transition: int) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        assert client.call("/bev/change_state", ChangeState, request).success

    def names() -> list[str]:
        return [name for name in client.node.get_node_names() if "bev" in name]

    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    diagnostics = client.collect("/diagnostics", DiagnosticArray)
    drivers = make_cameras(client)
    process = perception_node(command=SUPERVISED, autostart=False, diagnostics_period_s=0.1)
    change(Transition.TRANSITION_CONFIGURE)
    change(Transition.TRANSITION_ACTIVATE)
    assert client.set_parameters("/bev", occupancy_threshold=0.7)[0].successful
    drivers.wait_matched()
    drivers.start(10.0)
    grids.wait(1)
    process.wait_for_log("is on standby")
    scout = next(name for name in names() if name.startswith("_"))
    assert sorted(names()) == sorted(["bev", scout])
    assert client.publisher(drivers.image_topic("front"), None).get_subscription_count() == 1
    assert len(client.node.get_publishers_info_by_topic("/bev/occupancy_grid")) == 1
    endpoints = client.node.get_publisher_names_and_types_by_node(scout, "/")
    assert [name for name, _ in endpoints] == ["/parameter_events"]
    assert client.node.get_subscriber_names_and_types_by_node(scout, "/") == []
    assert client.node.get_service_names_and_types_by_node(scout, "/") == []

    kill_at_once(active_pid(process))
    grids.clear()
    expected = unknown_cells(small_rig, fast_weights)
    grids.wait_until(lambda grid: np.array_equal(cells(grid) == -1, expected))
    process.wait_for_log(r"\[WARN\].*took over because the process before was killed by SIGKILL")

    def told() -> Any:
        statuses = [status for array in list(diagnostics.messages) for status in array.status]
        return any("took over" in status.message for status in statuses)

    wait_until(told, what="a takeover in the diagnostics")
    wait_until(lambda: process.log.count("is on standby") == 2, what="another standby")

    response = client.call(
        "/bev/get_parameters", GetParameters, GetParameters.Request(names=["occupancy_threshold"])
    )
    assert response.values[0].double_value == 0.7

    change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert process.wait() == 0
    wait_until(lambda: not _remain(process.log), what="the end of all processes")


@pytest.mark.slow
def test_ctrl_c_ends_node_and_standby(
    perception_node: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    process = perception_node(command=SUPERVISED)
    process.wait_for_log("is on standby")
    assert process.stop(signal.SIGINT) == 0
    assert not _remain(process.log)
    assert "Traceback" not in process.log


@pytest.mark.slow
def test_what_cannot_start_is_not_tried_again(perception_node: Callable[..., Any]) -> None:
    process = perception_node(command=SUPERVISED, weights="no_such_weights")
    assert process.wait() == 2
    assert process.log.count("no shipped weights named") == 1


def _remain(log: str) -> list[int]:
    """Processes that the supervisor told of and that still run."""
    pids = {int(number) for number in re.findall(r"process (\d+) ", log)}
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]
