# SPDX-License-Identifier: Apache-2.0
"""The perception node with a network of PyTorch that obeys orders to go wrong.

    python -m sabotaged_node orders [--standby] --ros-args -p backend:=cpu ...

The orders strike below the engine, so that its own handling of short memory is at work.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import patch

from bev_perception.faults.calls import CallOrders
from bev_perception.inference.torch_engine import TorchEngine
from bev_perception.ros.perception_node import main
from bev_perception.supervision.program import STANDBY_OPTION, run_with_standby


def run(orders: CallOrders, args: list[str]) -> int:
    """The node's exit code."""
    compute = TorchEngine._compute

    def obedient(self: TorchEngine, *arguments: object) -> object:
        orders.obey()
        return compute(self, *arguments)

    with patch.object(TorchEngine, "_compute", obedient):
        return main(args)


if __name__ == "__main__":
    if STANDBY_OPTION in sys.argv:
        own = [part for part in sys.argv[1:] if part != STANDBY_OPTION]
        sys.exit(run_with_standby(["sabotaged_node", *own], "sabotaged_node"))
    sys.exit(run(CallOrders(Path(sys.argv[1])), [sys.argv[0], *sys.argv[2:]]))
