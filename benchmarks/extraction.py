# SPDX-License-Identifier: Apache-2.0
"""How many times faster than it was driven `bev extract` turns bags into shards.

Drives of four 448x672 cameras at 10 Hz with all labels of a simulated town, raw and JPEG. A few
simulated moments are repeated with new stamps and poses, so that long bags cost no rendering. The
times are those of the whole command: start of its processes, judging, copying, card and report.
On a machine with other work the wall tells of that work; `undisturbed` is what the processor time
of the same run makes on as many free cores as there are processes.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bev_perception.bags import BagWriter
from bev_perception.datasets.extraction import DataSetPlan, extract_bags
from bev_perception.datasets.shard_settings import ShardSettings
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.rig_file import load_rig
from bev_perception.resources import config_path
from bev_perception.simulation import SimulatedSet, Simulator

RATE_HZ = 10.0
TARGETS = {"raw": 10.0, "jpeg": 50.0}


def simulated_sets(count: int) -> list[SimulatedSet]:
    """Moments of one town."""
    with Simulator(1, load_rig(config_path("rigs/default.yaml")), RATE_HZ) as simulator:
        return list(simulator.run(count))


def write_bag(path: Path, moments: list[SimulatedSet], num_sets: int, quality: int | None) -> None:
    """A drive that repeats moments, always moving on."""
    rig = load_rig(config_path("rigs/default.yaml"))
    with BagWriter(path) as writer:
        for number in range(num_sets):
            moment = moments[number % len(moments)].frame_set
            stamp = 1_000_000_000 + round(number * 1e9 / RATE_HZ)
            pose = RigidTransform.from_euler(translation=(0.8 * number, 0.0, 0.0))
            frames = {name: replace(frame, stamp_ns=stamp) for name, frame in moment.frames.items()}
            frame_set = replace(moment, stamp_ns=stamp, frames=frames, world_T_base=pose)
            writer.write_frame_set(frame_set, rig, quality)
            writer.write_objects(stamp, moments[number % len(moments)].objects)


def measure(folder: Path, kind: str, bags: list[Path], driven_s: float, processes: int) -> float:
    """Times one extraction; the ratio to the time driven."""
    plan = DataSetPlan(folder / f"{kind}_shards", ShardSettings(), processes=processes)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    manifest = extract_bags(bags, plan)
    wall_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sets = sum(drive["sets"] for drive in manifest["drives"])
    ratio = driven_s / wall_s
    print(
        f"{kind:>5} {len(bags):>5} {sets:>6} {driven_s:>9.0f} {wall_s:>8.1f} {ratio:>9.1f} "
        f"{driven_s * processes / cpu_s:>12.1f} {TARGETS[kind]:>7.0f} {1e3 * cpu_s / sets:>13.2f}",
        flush=True,
    )
    shutil.rmtree(plan.out)
    return ratio


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bags", type=int, default=2)
    parser.add_argument("--raw-s", type=float, default=60.0, help="length of a raw bag")
    parser.add_argument("--jpeg-s", type=float, default=600.0, help="length of a JPEG bag")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    moments = simulated_sets(20)
    boxes = sum(len(moment.objects) for moment in moments) / len(moments)
    print(f"four cameras of 448x672 at {RATE_HZ:g} Hz, {boxes:.0f} labelled objects in a set")
    print(" kind  bags   sets  driven_s   wall_s  times_rt  undisturbed  target  cpu_ms_a_set")
    with tempfile.TemporaryDirectory(prefix="bev_extraction_") as name:
        folder = Path(name)
        for kind, length_s, quality in (
            ("raw", options.raw_s, None),
            ("jpeg", options.jpeg_s, 92),
        ):
            num_sets = round(length_s * RATE_HZ)
            bags = [folder / f"{kind}_{number}" for number in range(options.bags)]
            for bag in bags:
                write_bag(bag, moments, num_sets, quality)
            measure(folder, kind, bags, length_s * options.bags, options.processes)
            for bag in bags:
                shutil.rmtree(bag)


if __name__ == "__main__":
    main()
