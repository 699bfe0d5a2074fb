# SPDX-License-Identifier: Apache-2.0
"""A program that runs under a supervisor of its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bev_perception.supervision.supervisor import Supervisor

STANDBY_OPTION = "--standby"
_FORMAT = "[%(levelname)s] [%(created).9f] [{name} supervisor]: %(message)s"


def run_with_standby(arguments: Sequence[str], name: str) -> int:
    """Runs a module with a second process on standby, and says on stderr what becomes of both.

    Args:
        arguments: of ``python -m``; the module asks SupervisedLife for its part.
        name: of the program, for the log.

    Returns:
        The exit code, see Supervisor.run.
    """
    logging.addLevelName(logging.WARNING, "WARN")  # as ROS writes it
    logging.basicConfig(level=logging.INFO, format=_FORMAT.format(name=name))
    return Supervisor(arguments).run()
