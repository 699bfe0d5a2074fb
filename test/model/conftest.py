# SPDX-License-Identifier: Apache-2.0
"""What the tests of the model share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # segnet_samples


@pytest.fixture
def shared_keyframe() -> Path:
    """The real nuScenes keyframe beside the checkout, where there is one."""
    path = Path(__file__).parents[3] / "shared" / "data" / "nuscenes_keyframe"
    if not path.is_dir():
        pytest.skip("the real keyframe is not on this machine")
    return path
