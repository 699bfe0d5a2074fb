# SPDX-License-Identifier: Apache-2.0
"""Which cameras can be drawn."""

from __future__ import annotations

from pathlib import Path

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig

MAX_SIDE = 8192
"""Pixels. Mesa's software renderer takes 16384 at most, and far more than that crashes it."""


def check_renderable(rig: Rig, rig_file: Path) -> None:
    """Refuses cameras that no graphics library draws; some crash where they should refuse.

    Raises:
        ConfigurationError: an image side beyond MAX_SIDE.
    """
    for name, entry in rig.cameras.items():
        width, height = entry.camera.width, entry.camera.height
        if max(width, height) > MAX_SIDE:
            raise ConfigurationError(
                f"{rig_file}: camera {name!r} of {width}x{height} is too large to simulate; a side "
                f"may have at most {MAX_SIDE} pixels"
            )
