# SPDX-License-Identifier: Apache-2.0
"""Helpers of the data set tests can be imported by their names."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # nuscenes_layout, drive_bags
