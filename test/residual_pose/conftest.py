# SPDX-License-Identifier: Apache-2.0
"""What the tests of this room share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # striped_street

from striped_street import street_drive

from bev_perception.geometry import FrameSet


@pytest.fixture(scope="session")
def drive() -> list[FrameSet]:
    """2.3 seconds on level ground."""
    return street_drive(24)
