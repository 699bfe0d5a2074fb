# SPDX-License-Identifier: Apache-2.0
"""The CARLA node in a process whose carla.Client reaches a double of the server.

    python -m doubled_carla_node double.json left.json --ros-args ...

double.json has arguments of CarlaDouble, with those of Faults under "faults"; what the node
leaves behind in the server is written to left.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from carla_double import CarlaDouble, Faults, installed

from bev_perception.ros.carla_node import main


def run(double_path: Path, left_path: Path, args: list[str]) -> int:
    """The node's exit code."""
    values = json.loads(double_path.read_text())
    double = CarlaDouble(**{**values, "faults": Faults(**values.get("faults", {}))})
    with installed(double):
        code = main(args)
        left = {
            "actors": [actor.type_id for actor in double.actors.values()],
            "synchronous": double.settings.synchronous_mode,
            "managers": sorted(double.synchronous_managers),
            "violations": double.violations,
        }
        left_path.write_text(json.dumps(left))
    return code


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2]), [sys.argv[0], *sys.argv[3:]]))
