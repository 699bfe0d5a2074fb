# SPDX-License-Identifier: Apache-2.0
"""What an engine has to build for another rig is built before that rig's first images."""

from __future__ import annotations

from bev_perception.inference.engine import Engine
from bev_perception.model import LiftGeometry


def make_room(engine: Engine, taps: LiftGeometry) -> None:
    """Lets an engine build or load what infer would need for a table.

    Another thread may call it while the engine infers with the table before. Engines that take
    any table need nothing, and what fails here fails again, and is told, when images come.

    Args:
        engine: that runs the network.
        taps: of the rig to come.
    """
    make = getattr(engine, "make_room", None)
    if make is not None:
        make(taps)
