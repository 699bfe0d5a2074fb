# SPDX-License-Identifier: Apache-2.0
"""What follows the network on one core: thresholding, unknown cells, peaks and grouping.

    python benchmarks/objects.py [--vehicles 0 20 80] [--cells 400] [--repetitions 200]

The maps are those of a network that is nearly right, over a plane of 100 m: noise of a tenth in
occupancy and of 0.1 m in offsets. Prints median and 99th percentile in milliseconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.bags.occupancy_grids import occupancy_values
from bev_perception.geometry import BevGrid, BevOutput
from bev_perception.perception import PipelineSettings, find_objects
from bev_perception.perception.peaks import find_peaks

SPACING_M = 5.5
Maps = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def scene(grid: BevGrid, count: int, seed: int = 0) -> Maps:
    """Occupancy, centre map and offsets of so many cars that turn at random."""
    rng = np.random.default_rng(seed)
    probability = 0.1 * rng.random(grid.shape, dtype=np.float32)
    center = 0.05 * rng.random(grid.shape, dtype=np.float32)
    offset = rng.normal(0.0, 0.3, (2, *grid.shape)).astype(np.float32)
    placed: list[NDArray[np.float64]] = []
    while len(placed) < count:
        position = rng.uniform(-47.0, 47.0, 2)
        if any(np.hypot(*(position - other)) < SPACING_M for other in placed):
            continue
        placed.append(position)
        yaw, away = rng.uniform(-np.pi, np.pi), position - grid.cell_centers
        along = away @ (np.cos(yaw), np.sin(yaw))
        across = away @ (-np.sin(yaw), np.cos(yaw))
        covered = (abs(along) <= 2.25) & (abs(across) <= 0.95)
        probability[covered] = 0.9
        offset[:, covered] = away[covered].T + rng.normal(0.0, 0.1, (2, covered.sum()))
        near = np.exp(-(away**2).sum(axis=-1) / 2.0) * rng.uniform(0.6, 1.0)
        np.maximum(center, near.astype(np.float32), out=center)
    return probability, center, offset


def milliseconds(function: Callable[[], object], repetitions: int) -> tuple[float, float]:
    """Median and 99th percentile after a few calls to warm up."""
    durations = []
    for index in range(repetitions + 10):
        started = time.perf_counter()
        function()
        if index >= 10:
            durations.append((time.perf_counter() - started) * 1e3)
    return float(np.median(durations)), float(np.percentile(durations, 99))


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vehicles", type=int, nargs="+", default=[0, 20, 80])
    parser.add_argument("--cells", type=int, default=400, help="along each side")
    parser.add_argument("--repetitions", type=int, default=200)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    grid, settings = BevGrid.centered(50.0, 100.0 / arguments.cells), PipelineSettings()
    print(f"grid {grid.shape}, one thread; milliseconds, median (p99)")
    print(f"{'vehicles':>9s} {'found':>6s} {'grid values':>14s} {'peaks':>14s} {'objects':>14s}")
    for count in arguments.vehicles:
        maps = scene(grid, count)
        output = BevOutput(0, grid, maps[0], maps[1] > 0.049, maps[1], maps[2])
        steps = [
            # Thresholding and unknown cells, as the topic and the bag get them.
            partial(occupancy_values, output, 0.5),
            partial(find_peaks, grid, maps[1], settings),
            partial(find_objects, grid, *maps, settings),
        ]
        columns = [milliseconds(step, arguments.repetitions) for step in steps]
        found = len(find_objects(grid, *maps, settings))
        cells = " ".join(f"{median:7.2f} ({p99:4.2f})" for median, p99 in columns)
        print(f"{count:9d} {found:6d} {cells}")
    print("objects includes peaks; all together is grid values + objects")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
