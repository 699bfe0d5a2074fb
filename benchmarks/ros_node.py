# SPDX-License-Identifier: Apache-2.0
"""What the perception node costs and whether it keeps up: latencies, losses, memory, processors.

    python benchmarks/ros_node.py [--rate-hz 10] [--minutes 1] [--rock-deg 0] [--check]
    python benchmarks/ros_node.py --rate-hz 10 20 --rock-deg 0 1      # every combination

A bag of four 448x672 rgb8 cameras is played by one process into a perception_node process; this
one subscribes to everything that the node publishes. Without --bag, a simulated town is recorded
first, so that the simulator costs nothing while the clock runs. --rock-deg lets the vehicle roll
and pitch, so that the lift's tables are made anew. With --check the exit code is 1 when a limit is
missed: at rates that the engine keeps, 5 ms median and 15 ms at p99 for what the node adds around
the engine, no set lost and no memory growth; at higher rates, the engine's rate and a bounded age.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
from camera_playback import write_town_bag
from node_run import NodeRun

from bev_perception.ros.environment import PROFILE_VARIABLES

NODE_MEDIAN_MS, NODE_P99_MS = 5.0, 15.0
GROWTH_MB = 10.0
ENGINE_SHARE = 0.8
"""Of the engine's rate that an overloaded node must reach."""


def failures(run: NodeRun) -> list[str]:
    """Limits that were missed."""
    found = []
    growth = run.usages["perception_node"].late_growth_mb
    if growth > GROWTH_MB:
        found.append(f"memory grew by {growth:.1f} MB, {GROWTH_MB:g} are allowed")
    if run.rate_hz > ENGINE_SHARE * _possible_hz(run):
        return found + _overload_failures(run)
    median, p99 = np.percentile(run.observer.latencies_ms["node"], (50, 99))
    if median > NODE_MEDIAN_MS or p99 > NODE_P99_MS:
        found.append(
            f"the node adds {median:.1f} ms median and {p99:.1f} ms at p99, "
            f"{NODE_MEDIAN_MS:g} and {NODE_P99_MS:g} are allowed"
        )
    if run.lost:
        found.append(f"{run.lost} of {len(run.stamps_ns)} sets are lost")
    return found


def _overload_failures(run: NodeRun) -> list[str]:
    found = []
    wanted = ENGINE_SHARE * _possible_hz(run)
    if run.served_hz < wanted:
        found.append(f"served {run.served_hz:.1f} sets/s, with this engine {wanted:.1f} are due")
    work_ms = run.engine_ms + NODE_P99_MS
    age = float(np.percentile(run.observer.latencies_ms["age"], 99))
    if age > 3.0 * work_ms:
        found.append(f"age {age:.0f} ms at p99, {3.0 * work_ms:.0f} are allowed")
    return found


def print_tables(run: NodeRun) -> None:
    """Stages, sets and processes."""
    observer = run.observer
    print(
        f"\n{run.rate_hz:g} Hz for {len(run.stamps_ns) / run.rate_hz:.0f} s, "
        f"roll and pitch up to {run.rock_deg:g} deg; engine: "
        + ", ".join(f"{key} {value}" for key, value in observer.engine.items())
    )
    print(f"{'milliseconds':24s} {'median':>8s} {'p95':>8s} {'p99':>8s} {'max':>8s}")
    rows = dict(observer.latencies_ms)
    rows["age at the subscriber"] = [
        (observer.grids[stamp] - stamp) * 1e-6 for stamp in run.stamps_ns if stamp in observer.grids
    ]
    rows["cameras behind time"] = run.late_ms
    for name, values in rows.items():
        row = (*np.percentile(values, (50, 95, 99)), max(values))
        print(f"  {name:22s} " + " ".join(f"{value:8.2f}" for value in row))
    drops = ", ".join(f"{number} {cause}" for cause, number in sorted(observer.drops.items()))
    print(
        f"sets: {len(run.stamps_ns)} sent, {len(run.stamps_ns) - run.lost} served at "
        f"{run.served_hz:.2f}/s (engine alone {1e3 / run.engine_ms:.1f}/s), {run.lost} lost"
        f"{'; dropped: ' + drops if drops else ''}"
    )
    print(
        f"{'process':24s} {'CPU %':>8s} {'delayed %':>10s} {'RSS MB, begin':>14s} {'end':>8s} "
        f"{'max':>8s}  growth"
    )
    for name, usage in run.usages.items():
        print(
            f"  {name:22s} {usage.cpu_percent:8.1f} {usage.delay_percent:10.1f} "
            f"{usage.rss_mb[0]:14.1f} {usage.rss_mb[-1]:8.1f} {max(usage.rss_mb):8.1f}  "
            f"{usage.late_growth_mb:+.1f} MB, {usage.late_slope_mb_per_min:+.2f} MB/min"
        )
    others = run.machine.percent_of_others(run.usages.values())
    print(f"  {'everything else':22s} {others:8.1f}")


def _possible_hz(run: NodeRun) -> float:
    """Sets per second of the engine with what the node may add."""
    return 1e3 / (run.engine_ms + NODE_MEDIAN_MS)


def describe_machine(options: argparse.Namespace) -> str:
    """Machine, versions and transport."""
    from importlib.metadata import version

    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    distribution = os.environ.get("ROS_DISTRO", "wheels")
    middleware = os.environ.get("RMW_IMPLEMENTATION", "default middleware")
    profile = os.environ.get(PROFILE_VARIABLES[0], "none")
    return (
        f"{model}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before; Python "
        f"{platform.python_version()}, torch {version('torch')}, NumPy {np.__version__}\n"
        f"ROS 2 {distribution}, {middleware}, profile {Path(profile).name}; weights "
        f"{options.weights}"
    )


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bag", type=Path, help="instead of a simulated town")
    parser.add_argument("--town-sets", type=int, default=40, help="sets of the simulated town")
    parser.add_argument("--rate-hz", type=float, nargs="+", default=[10.0])
    parser.add_argument("--rock-deg", type=float, nargs="+", default=[0.0])
    parser.add_argument("--minutes", type=float, default=1.0, help="duration of each case")
    parser.add_argument("--weights", default="tiny")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME:=VALUE", help="of the node"
    )
    parser.add_argument("--logs", type=Path, help="folder that keeps the processes' logs")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a limit is missed")
    return parser.parse_args()


def main() -> int:
    """Runs the cases and prints their tables."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    options = parse_options()
    missed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if options.bag is None:
            options.bag = Path(temporary) / "town"
            write_town_bag(options.bag, options.town_sets)
        for number, (rate_hz, rock_deg) in enumerate(
            itertools.product(options.rate_hz, options.rock_deg)
        ):
            run = NodeRun(options, rate_hz, rock_deg, folder)
            run.run()
            if not number:
                print(describe_machine(options))
            print_tables(run)
            for failure in failures(run):
                missed = True
                print(f"MISSED: {failure}")
            sys.stdout.flush()
    return int(options.check and missed)


if __name__ == "__main__":
    sys.exit(main())
