# SPDX-License-Identifier: Apache-2.0
"""A long run of the perception node with faults: does memory grow, does latency, does it recover?

    python benchmarks/soak.py --out out/soak                       # one hour
    python benchmarks/soak.py --minutes 5 --out out/soak_short
    python benchmarks/soak.py --table out/soak/soak.json           # judged and drawn again

`bev play --loop --clock` plays a bag of a simulated town (or --bag) at 10 Hz: at the end of each
loop the clock jumps back. A relay injects the faults of bev_perception.faults into what the real
node gets, one after the other at random; now and then the player is killed and started again, or
the node stands still for a second as in a busy machine. Every window is noted in soak.json and
drawn in soak.png, which are there from the first minute on. Other work may run beside it.

Exit code 1: memory, latency, threads or open files grow, or the node is not well 10 s after the
last fault; 2: it could not be run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from camera_playback import write_town_bag
from soak_picture import soak_picture
from soak_run import SoakRun
from soak_verdict import GROWTH_MB, table, verdict

from bev_perception.errors import BevError
from bev_perception.visualization import write_image

SETS = 100
REPORT, PICTURE = "soak.json", "soak.png"


def write_report(folder: Path, run: SoakRun, growth_mb: float) -> dict[str, Any]:
    """soak.json and soak.png as far as the run has come; what is in the file."""
    report = {"machine": describe_machine(), **run.to_dict()}
    report["verdict"] = judged(run.windows, growth_mb)
    partial = folder / (REPORT + ".partial")
    partial.write_text(json.dumps(report))
    partial.rename(folder / REPORT)
    if run.windows:
        write_image(folder / PICTURE, soak_picture(report))
    return report


def judged(windows: list[dict[str, Any]], growth_mb: float) -> dict[str, Any]:
    """The verdict, or why there is none under "problem"."""
    try:
        return verdict(windows, growth_mb)
    except ValueError as error:
        return {"ok": False, "problem": str(error)}


def describe_machine() -> str:
    """Processor and load."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    load = os.getloadavg()[2]
    return f"{os.cpu_count()} x {next(names, platform.machine())}, load {load:.1f} of 15 minutes"


def print_report(report: dict[str, Any]) -> int:
    """Prints the table; the exit code."""
    if "problem" in report["verdict"]:
        print(f"not judged: {report['verdict']['problem']}")
        return 2
    print(table(report))
    return 0 if report["verdict"]["ok"] and report["recovered"] else 1


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for soak.json, soak.png and logs")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--bag", type=Path, help="instead of a simulated town of 10 s")
    parser.add_argument("--weights", default="tiny")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--window-s", type=float, default=10.0, help="length of a window")
    parser.add_argument("--growth-mb", type=float, default=GROWTH_MB, help="allowed in all")
    parser.add_argument("--fault-factor", type=float, default=1.0, help="faults come faster by it")
    parser.add_argument("--table", type=Path, metavar="JSON", help="only print a run's table")
    options = parser.parse_args()
    if (options.table is None) == (options.out is None):
        parser.error("give either --out for a run or --table for the table of one")
    return options


def main() -> int:
    """Runs and judges."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    options = parse_options()
    if options.table is not None:
        report = json.loads(options.table.read_text())
        report["verdict"] = judged(report["windows"], options.growth_mb)
        write_image(options.table.with_name(PICTURE), soak_picture(report))
        return print_report(report)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        bag = options.bag
        if bag is None:
            bag = Path(temporary) / "town"
            write_town_bag(bag, SETS)
        run = SoakRun(options, bag, lambda: write_report(options.out, run, options.growth_mb))
        try:
            run.run()
        except BevError as error:
            print(f"soak: error: {error}", file=sys.stderr)
            return 2
        finally:
            report = write_report(options.out, run, options.growth_mb)
    return print_report(report)


if __name__ == "__main__":
    sys.exit(main())
