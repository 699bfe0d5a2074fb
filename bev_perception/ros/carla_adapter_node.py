# SPDX-License-Identifier: Apache-2.0
"""``ros2 run bev_perception carla_adapter_node``: cameras of carla_ros_bridge or the server."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bev_perception.ros.drive_process import Drive, run_drive


def main(args: Sequence[str] | None = None) -> int:
    """Runs the node until Ctrl-C; exit code 2 where cameras are refused; see run_drive."""
    return run_drive("carla_adapter_node", "carla_adapter", _adapter, {}, args)


def _adapter() -> Drive:
    from bev_perception.ros.carla_adapter import adapt

    return adapt


if __name__ == "__main__":
    sys.exit(main())
