# SPDX-License-Identifier: Apache-2.0
"""``bev demo``: a drive nobody has seen, from simulation to report, in one command."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bev_perception.cli.parser import (
    Arguments,
    Command,
    Parser,
    add_engine_arguments,
    add_output_arguments,
    add_rig_argument,
    require,
)

if TYPE_CHECKING:
    from bev_perception.cli.run_results import RunResult
    from bev_perception.geometry import Rig

DRIVE_BAG = "drive"
REPORT_FILE = "report.html"


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--town", type=int, default=11000, metavar="SEED", help="test towns are 11000 to 11999"
    )
    parser.add_argument("--sets", type=int, default=80, metavar="N", help="camera sets to drive")
    parser.add_argument("--rate-hz", type=float, default=10.0, help="camera sets per second")
    parser.add_argument(
        "--offline",
        action="store_true",
        help="without ROS 2: record the drive first, then run perception over the bag",
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="real ROS 2 nodes in processes of their own; this is the default",
    )
    parser.add_argument("--pictures", type=int, default=6, metavar="N", help="moments to draw")
    add_engine_arguments(parser)
    add_rig_argument(parser, "cameras of the vehicle; default the shipped rig of four")
    add_output_arguments(parser, default="out/demo")


def _run(arguments: Arguments) -> None:
    from bev_perception.cli.bag_run import METRICS_FILE
    from bev_perception.cli.output_directory import result_directory, write_json, write_run_file
    from bev_perception.cli.result_tables import accuracy_table, as_text, timing_table
    from bev_perception.cli.run_report import run_report
    from bev_perception.geometry.rig_file import load_rig
    from bev_perception.resources import config_path
    from bev_perception.simulation.renderable import check_renderable
    from bev_perception.visualization import write_report

    _check(arguments)
    started = time.monotonic()
    rig_file = Path(arguments.rig) if arguments.rig else config_path("rigs/default.yaml")
    rig = load_rig(rig_file)
    check_renderable(rig, rig_file)
    out = Path(arguments.out)
    with result_directory(out, arguments.overwrite, "demo") as folder:
        if arguments.offline:
            result = _offline(arguments, rig_file, folder)
        else:
            result = _live(arguments, rig_file, rig, folder)
        settings = {"arguments": arguments.as_dict(), **result.to_dict()}
        write_run_file(folder, "demo", settings)
        if result.metrics is not None:
            write_json(folder / METRICS_FILE, result.metrics)
        subtitle = (
            f"Simulated town {arguments.town}, {result.num_sets} camera sets at "
            f"{arguments.rate_hz:g} Hz, weights {arguments.weights}, "
            + ("from a bag" if arguments.offline else "live on ROS 2 topics")
        )
        report = run_report(
            "A drive, seen from above", subtitle, result, settings, _command(arguments)
        )
        write_report(folder / REPORT_FILE, report)
    if result.metrics is not None:
        print(as_text(accuracy_table(result.metrics)), end="\n\n")
    print(as_text(timing_table(result.timings_ms)), end="\n\n")
    for line in filter(None, (result.accuracy_note, result.synchronisation)):
        print(line)
    for warning in result.warnings:
        print(warning)
    for what, name in _results(out):
        print(f"{what:<12}{name}")
    print(f"\ndone in {time.monotonic() - started:.0f} s")


def _check(arguments: Arguments) -> None:
    require(not (arguments.offline and arguments.live), "--offline and --live exclude each other")
    require(arguments.sets >= 1, f"--sets must be at least 1, got {arguments.sets}")
    require(arguments.town >= 0, f"--town must be 0 or more, got {arguments.town}")
    require(
        0.1 <= arguments.rate_hz <= 100.0,
        f"--rate-hz must lie between 0.1 and 100, got {arguments.rate_hz:g}",
    )
    require(arguments.pictures >= 1, f"--pictures must be at least 1, got {arguments.pictures}")


def _live(arguments: Arguments, rig_file: Path, rig: Rig, folder: Path) -> RunResult:
    """Three processes on ROS 2 topics, then what they recorded."""
    from bev_perception.cli.live_demo import (
        LOG_FOLDER,
        LiveDrive,
        check_names,
        check_ros,
        record_live,
    )
    from bev_perception.cli.live_results import live_results
    from bev_perception.model import load_weights, resolve_weights

    check_ros()
    check_names(rig)
    weights = resolve_weights(arguments.weights)
    model, _ = load_weights(weights)  # refused now, not by the node
    drive = LiveDrive(
        town=arguments.town,
        num_sets=arguments.sets,
        rate_hz=arguments.rate_hz,
        rig_file=rig_file,
        rig=rig,
        weights=weights,
        device=arguments.device,
        precision=arguments.precision,
        backend=arguments.backend,
    )
    record_live(drive, folder / DRIVE_BAG, folder / LOG_FOLDER)
    result = live_results(folder / DRIVE_BAG, folder, arguments.pictures)
    result.model = model.config.to_dict()
    return result


def _offline(arguments: Arguments, rig_file: Path, folder: Path) -> RunResult:
    """A bag of the drive, then perception over the bag."""
    from tqdm import tqdm

    from bev_perception.cli.bag_run import RunOptions, run_bag
    from bev_perception.cli.town_recording import TownJob, record_town
    from bev_perception.model import load_weights, resolve_weights

    load_weights(resolve_weights(arguments.weights))  # refused now, not after the drive
    drive = folder / DRIVE_BAG
    job = TownJob(arguments.town, drive, rig_file, arguments.sets, arguments.rate_hz)
    with tqdm(total=arguments.sets, desc="simulate", unit="set", dynamic_ncols=True) as bar:
        record_town(job, bar.update)
    options = RunOptions(
        weights=arguments.weights,
        device=arguments.device,
        precision=arguments.precision,
        backend=arguments.backend,
        pictures=arguments.pictures,
        video=True,
    )
    return run_bag(drive, folder, options)


def _results(out: Path) -> list[tuple[str, Path]]:
    """What the demo left behind, for people."""
    from bev_perception.cli.bag_run import METRICS_FILE, OUTPUT_BAG
    from bev_perception.cli.live_demo import LOG_FOLDER

    places = [("report", out / REPORT_FILE)]
    places += [("video", path) for path in sorted(out.glob("drive.*")) if path.is_file()]
    places += [
        ("pictures", out / "picture_*.jpg"),
        ("drive bag", out / DRIVE_BAG),
        ("output bag", out / OUTPUT_BAG),
        ("metrics", out / METRICS_FILE),
        ("logs", out / LOG_FOLDER),
    ]
    return [(what, path) for what, path in places if "*" in path.name or path.exists()]


def _command(arguments: Arguments) -> str:
    """The command line that does the same again."""
    parts = [
        "bev",
        "demo",
        *(["--offline"] if arguments.offline else []),
        "--town",
        arguments.town,
        "--sets",
        arguments.sets,
    ]
    parts += ["--rate-hz", f"{arguments.rate_hz:g}", "--weights", arguments.weights]
    parts += ["--precision", arguments.precision, "--device", arguments.device]
    parts += ["--backend", arguments.backend]
    if arguments.rig:
        parts += ["--rig", arguments.rig]
    return shlex.join(str(part) for part in [*parts, "--out", arguments.out])


COMMAND = Command(
    name="demo",
    summary="a drive nobody has seen, from simulation to report",
    description="Drives through a town that the weights have never seen, live: the town, the "
    "perception node and a recorder are three processes on real ROS 2 topics, in lockstep, so "
    "that nothing is lost on a slow machine. Leaves in --out: the recorded bag with images, "
    "labels and outputs, metrics, pictures, a video, the processes' logs and report.html. "
    "Prints accuracy and latency per stage. --offline does without ROS 2 and gives the same "
    "figures: it records the drive first and runs perception over the bag.",
    examples=(
        ("the shipped weights in a test town", "bev demo --out out/demo"),
        ("another town, a longer drive", "bev demo --town 11007 --sets 200 --out out/town_11007"),
        ("without ROS 2", "bev demo --offline --out out/demo"),
        (
            "own weights",
            "bev demo --weights out/train/weights.safetensors --out out/mine",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
