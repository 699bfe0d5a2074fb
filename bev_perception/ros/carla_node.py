# SPDX-License-Identifier: Apache-2.0
"""``ros2 run bev_perception carla_node``: a CARLA world as a vehicle on ROS 2 topics."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bev_perception.ros.drive_process import Drive, run_drive


def main(args: Sequence[str] | None = None) -> int:
    """Runs the node until its drive is done, or until Ctrl-C; see run_drive."""
    return run_drive("carla_node", "carla", _drive, {"carla": "carla"}, args)


def _drive() -> Drive:
    from bev_perception.ros.carla_drive import drive

    return drive


if __name__ == "__main__":
    sys.exit(main())
