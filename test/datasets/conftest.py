# SPDX-License-Identifier: Apache-2.0
"""Helpers of the data set tests can be imported by their names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # nuscenes_layout, drive_bags


@pytest.fixture
def keyframe() -> Path:
    """The real nuScenes keyframe, which lies beside a checkout and is never shipped."""
    path = Path(__file__).parents[3] / "shared" / "data" / "nuscenes_keyframe"
    if not path.is_dir():
        pytest.skip("no real keyframe at ../shared/data/nuscenes_keyframe")
    return path
