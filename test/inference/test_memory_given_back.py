# SPDX-License-Identifier: Apache-2.0
"""What a process has freed goes back to the system when it says so, and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKS, BLOCK_BYTES = 200, 1_000_000

HOLES = f"""
import numpy as np
from bev_perception.inference.memory import give_back_memory, settle_memory

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

settle_memory()
blocks, pins = [], []
for _ in range({BLOCKS}):
    blocks.append(np.ones({BLOCK_BYTES}, dtype=np.uint8))
    pins.append(np.ones(3000, dtype=np.uint8))  # what stays lies between
full = resident_mb()
blocks.clear()
kept = resident_mb()
give_back_memory()
print(full - kept, kept - resident_mb())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is meant")
def test_holes_are_kept_for_the_next_set_and_given_back_on_demand() -> None:
    result = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    by_itself_mb, on_demand_mb = map(float, result.stdout.split())
    assert by_itself_mb < 0.1 * BLOCKS, "inference would clear the same pages for every set"
    assert on_demand_mb > 0.9 * BLOCKS
