# SPDX-License-Identifier: Apache-2.0
"""What the library logs, for whoever typed the command: one line each on stderr."""

from __future__ import annotations

import logging
import sys

import bev_perception


class _Handler(logging.Handler):
    """Writes to the stderr of the moment, which tests exchange."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def show_log() -> None:
    """Shows the package's log from INFO on; calling it again changes nothing."""
    logger = logging.getLogger(bev_perception.__name__)
    if not any(isinstance(handler, _Handler) for handler in logger.handlers):
        logger.addHandler(_Handler())
        logger.setLevel(logging.INFO)
