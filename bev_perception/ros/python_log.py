# SPDX-License-Identifier: Apache-2.0
"""What the library logs becomes the node's log: /rosout, the console and the log file."""

from __future__ import annotations

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger

import bev_perception


class _NodeHandler(logging.Handler):
    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        # One line of code for each severity: rclpy refuses another one at the same place.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)


def forward_log(logger: RcutilsLogger) -> None:
    """The package's Python log from INFO on goes to a node's logger, the latest one given."""
    library = logging.getLogger(bev_perception.__name__)
    for handler in [entry for entry in library.handlers if isinstance(entry, _NodeHandler)]:
        library.removeHandler(handler)
    library.addHandler(_NodeHandler(logger))
    library.setLevel(logging.INFO)
