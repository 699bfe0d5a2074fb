# SPDX-License-Identifier: Apache-2.0
"""The perception node with a network that does not answer while a file is there.

    python -m hanging_engine_node hang --ros-args ...

As networks do, it leaves the interpreter to others while it hangs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bev_perception.inference import load_engine
from bev_perception.ros import engine_order
from bev_perception.ros.perception_node import main


class HangingEngine:
    """An engine that waits until the file has gone, then answers."""

    def __init__(self, engine: Any, hang: Path) -> None:
        self._engine, self._hang = engine, hang

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(self, *arguments: Any) -> Any:
        """See Engine.infer."""
        while self._hang.exists():
            time.sleep(0.01)
        return self._engine.infer(*arguments)


def run(hang: Path, args: list[str]) -> int:
    """The node's exit code."""

    def load(*arguments: Any, **options: Any) -> HangingEngine:
        return HangingEngine(load_engine(*arguments, **options), hang)

    with patch.object(engine_order, "load_engine", load):
        return main(args)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), [sys.argv[0], *sys.argv[2:]]))
