# SPDX-License-Identifier: Apache-2.0
"""Where the time of a set goes, from decoded images to objects.

    python benchmarks/pipeline.py [BAG] [--sets 40] [--rounds 5] [--device auto] [--precision auto]
        [--backend auto] [--torch-mode auto] [--resize auto]

Sets come from a bag, or from the simulated town where no bag is named; they are in memory
before the clock runs. Prints the median and the 99th percentile of each stage in milliseconds,
how many sets per second that makes, and what it costs when the vehicle's attitude, the cameras or
the calibration change. Rounds with and without changes of attitude alternate, so that both see
the same disturbances.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from bev_perception.bags import BagReader
from bev_perception.geometry import FrameSet, Rig, RigidTransform
from bev_perception.geometry.rig_file import load_rig
from bev_perception.inference import load_engine
from bev_perception.model import build_tap_table, resolve_weights
from bev_perception.model.image_resize import resized
from bev_perception.perception import Pipeline, PipelineSettings, frame_sets, seen_cells
from bev_perception.resources import config_path
from bev_perception.simulation import Simulator

NANOSECONDS = 1_000_000_000


def load_sets(bag: Path | None, num_sets: int) -> tuple[Rig, list[FrameSet]]:
    """Sets of a bag or of a town, decoded."""
    if bag is not None:
        with BagReader(bag) as reader:
            return reader.rig(), list(itertools.islice(frame_sets(reader), num_sets))
    rig = load_rig(config_path("rigs/default.yaml"))
    simulator = Simulator(1, rig)
    return rig, list(itertools.islice(frame_sets(simulator), num_sets))


def rocking(frame_set: FrameSet, index: int) -> FrameSet:
    """The set of a vehicle whose attitude is another one in every set."""
    pose = frame_set.world_T_base or RigidTransform.identity()
    tilt = RigidTransform.from_euler(roll=0.01 * np.sin(index), pitch=0.01 + 1e-4 * index)
    return replace(frame_set, world_T_base=pose @ tilt)


def durations(function: Callable[[], object], repetitions: int) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for _ in range(repetitions):
        started = time.perf_counter()
        function()
        found.append((time.perf_counter() - started) * 1e3)
    return found


def print_rows(title: str, rows: dict[str, Sequence[float]]) -> None:
    """A table of medians and 99th percentiles."""
    print(f"\n{title:42s} {'median ms':>10s} {'p99 ms':>10s}")
    for name, values in rows.items():
        print(f"  {name:40s} {np.median(values):10.2f} {np.percentile(values, 99):10.2f}")


def print_rate(timings: dict[str, list[float]]) -> None:
    """Sets per second by the median; the least is what the machine gives when it is not shared."""
    rate, engine = 1e3 / np.median(timings["total"]), min(timings["engine"])
    print(f"  {rate:.1f} sets per second; least: engine {engine:.1f} ms, ", end="")
    print(f"total {min(timings['total']):.1f} ms")


def measure_stages(pipeline: Pipeline, sets: Sequence[FrameSet], rounds: int) -> None:
    """Prints the stages of a vehicle that keeps its attitude and of one that rocks."""
    steady: dict[str, list[float]] = defaultdict(list)
    rocked: dict[str, list[float]] = defaultdict(list)
    period_ns = sets[-1].stamp_ns - sets[0].stamp_ns + NANOSECONDS
    for index in range(2 * rounds + 1):
        # The first round warms up.
        timings = rocked if index % 2 else (steady if index else defaultdict(list))
        for position, frame_set in enumerate(sets):
            if index % 2:
                frame_set = rocking(frame_set, index * len(sets) + position)
            moment = replace(frame_set, stamp_ns=frame_set.stamp_ns + index * period_ns)
            for stage, duration in pipeline.process(moment).timings_ms.items():
                timings[stage].append(duration)
    print_rows("stage, attitude kept", steady)
    print_rate(steady)
    print_rows("stage, another attitude in every set", rocked)
    print_rate(rocked)


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag", nargs="?", type=Path)
    parser.add_argument("--weights", default="tiny")
    parser.add_argument("--sets", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--torch-mode", default="auto")
    parser.add_argument("--resize", default="auto")
    arguments = parser.parse_args()
    rig, sets = load_sets(arguments.bag, arguments.sets)
    engine = load_engine(
        resolve_weights(arguments.weights),
        arguments.device,
        arguments.precision,
        arguments.backend,
        torch_mode=arguments.torch_mode,
        resize=arguments.resize,
    )
    warm_up = durations(lambda: engine.warm_up(len(rig)), 1)
    pipeline = Pipeline(engine, rig, PipelineSettings(track=True))
    height, width = next(iter(sets[0].frames.values())).image.shape[:2]
    print(
        f"{len(sets)} sets of {len(rig)} cameras {height}x{width}; engine {engine.backend} on "
        f"{engine.device} in {engine.precision}, {torch.get_num_threads()} threads; "
        f"{platform.machine()}, {os.cpu_count()} processors"
    )
    measure_stages(pipeline, sets, arguments.rounds)
    preparation, config = pipeline.calibration.preparation, engine.config
    prepared = preparation.rig
    raw = torch.from_numpy(preparation.raw(sets[0]).images)
    present = [True] * len(rig)
    print_rows(
        "once per change",
        {
            "tap table": durations(lambda: build_tap_table(prepared, config), 20),
            "seen cells (only where rows are added)": durations(
                lambda: seen_cells(rig, config.grid, config.heights_m, present), 20
            ),
            "calibrating another rig": durations(lambda: pipeline.calibrate(rig, sets[0]), 20),
            "warming the engine up": warm_up,
        },
    )
    print_rows(
        "resizing the images of a set on the CPU",
        {
            "by Preparation, one thread": durations(lambda: preparation.prepare(sets[0]), 20),
            "as graphs do, all threads": durations(lambda: resized(raw, preparation.resize), 20),
        },
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
