# SPDX-License-Identifier: Apache-2.0
"""Lines that a command says while it works, beside the results that it prints."""

from __future__ import annotations

import sys


class Teller:
    """Says lines on stderr, each with the command's name.

    Args:
        command: such as "play".
    """

    def __init__(self, command: str) -> None:
        self._command = command

    def __call__(self, text: str) -> None:
        """One line."""
        print(f"bev {self._command}: {text}", file=sys.stderr, flush=True)

    def warning(self, text: str) -> None:
        """What a person should know."""
        self(f"warning: {text}")
