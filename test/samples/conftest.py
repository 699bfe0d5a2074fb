# SPDX-License-Identifier: Apache-2.0
"""A drive through the embedded town, to be stored in all conventions and read back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bev_perception.geometry import Rig, load_rig
from bev_perception.resources import config_path
from bev_perception.simulation import SimulatedSet, Simulator


@pytest.fixture(scope="session")
def rig() -> Rig:
    """The shipped rig with smaller images."""
    shipped = load_rig(config_path("rigs/default.yaml"))
    return Rig({name: entry.resized(336, 224) for name, entry in shipped.cameras.items()})


@pytest.fixture(scope="session")
def drive_sets(rig: Rig) -> list[SimulatedSet]:
    """Ten sets at 2 Hz."""
    with Simulator(11003, rig, rate_hz=2.0) as simulator:
        return list(simulator.run(10))
