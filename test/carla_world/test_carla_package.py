# SPDX-License-Identifier: Apache-2.0
"""The carla package beside the others that a node needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("carla", reason="no carla package; its wheels are for Python 3.10 to 3.12")
pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

ONE_PROCESS = """
import carla, rclpy, torch, numpy as np
yaw = carla.Transform(carla.Location(), carla.Rotation(yaw=90.0)).get_matrix()
assert np.allclose(torch.tensor(yaw)[:2, :2], [[0.0, -1.0], [1.0, 0.0]], atol=1e-6)
rclpy.init()
rclpy.shutdown()
"""


@pytest.mark.parametrize("order", ["import torch, rclpy, carla", "import carla, rclpy, torch"])
def test_carla_torch_and_ros_share_a_process_in_either_order(order: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{order}\n{ONE_PROCESS}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
