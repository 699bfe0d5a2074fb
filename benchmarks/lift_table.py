# SPDX-License-Identifier: Apache-2.0
"""Every lift, with and without memory: trained alike, judged alike, in one table.

    bev simulate --town 0..79 --sets 24 --rate-hz 2 --traffic 2.5 --lidar --out out/drives/busy
    bev simulate --town 11000..11019 --sets 20 --rate-hz 2 --lidar --out out/drives/test
    OMP_NUM_THREADS=1 python benchmarks/lift_table.py --train out/drives/busy --test out/drives/test

All networks have the encoder, decoder, optimiser and number of judged sets of one recipe; those
with memory see a history before each, and are taught what is hidden now and was visible in it,
which others are not taught at all: `--memories windows` is a network without memory that gets the
same windows and labels, so what it lacks is memory alone. `--with` adds networks that have one
part more (EXTRAS), behind the lifts that can have it. What is trained or judged already is not
done again, nor what --results FILE holds of another day, of drives and a recipe of these names.
--finished trains nothing and tells of what is there. The table is Markdown: what a network costs,
what it knows by distance, of hidden vehicles and of how fast things move, with a pitch that it is
told, with one that nobody noticed and with a calibration that is wrong by one, each the worse of
both signs, and without a camera. Latencies are of networks with random weights, measured anew in
turns. `--recipe config/recipes/label_fraction.yaml` makes it of small networks in an evening.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from judged_training import Judging, kept, num_parameters, shown_share
from kept_figures import Figures, KeptFigures
from tqdm import tqdm
from training_runs import TrainingRun, do_all

from bev_perception.datasets.drives import find_bags, open_drive
from bev_perception.evaluation.regions import NEAR, WIDE
from bev_perception.geometry import BevGrid
from bev_perception.inference import make_engine
from bev_perception.inference.memory import settle_memory
from bev_perception.model import Segnet, SegnetConfig
from bev_perception.model.lift_config import GROUND_LIFTS, LIFTS
from bev_perception.model.memory_config import MEMORIES
from bev_perception.perception import Pipeline
from bev_perception.resources import config_path

HISTORY = 3
"""Sets before each judged one that a network with memory learns with."""

WINDOWS = "windows"
"""No memory, but the windows and labels of a network with one."""

WARM_UP = 3
"""Sets of a drive whose latency is not counted."""

CANONICAL = [
    {"yaw_deg": yaw, "pitch_deg": 5.0, "horizontal_fov_deg": 100.0}
    for yaw in (0.0, 90.0, 180.0, -90.0)
]
"""A rig as recipes/tiny_virtual.yaml has it."""

EXTRAS: dict[str, tuple[object, ...]] = {
    "nothing": (),
    "taught_depths": ("--losses.depth_weight", 1.0),
    "lidar": ("--model.sensor", "lidar", "--augmentation.cloud_dropout", 0.2),
    "virtual_cameras": ("--model.virtual_cameras", json.dumps(CANONICAL)),
}
"""What a network may have besides its lift and memory, and how bev train is told."""

FAR = ("within_25m", "within_50m", "ring_0_20m", "ring_20_35m", "ring_35_50m")
CLOSE = ("within_25m", "ring_0_10m", "ring_10_20m", "ring_20_25m")
"""Regions of evaluation/regions.py for grids that reach 50 m, and for others."""

FURTHER = {
    "hidden_known": "hidden known",
    "hidden_iou": "hidden IoU",
    "moving_error": "velocity error, moving",
    "kept_known_pitch": "pitch 3° told",
    "kept_unnoticed_pitch": "pitch 2° unnoticed",
    "kept_wrong_pitch": "calibration 2° wrong",
    "kept_camera_lost": "worst camera lost",
}
"""Figures and their columns."""


@dataclass(frozen=True)
class Choice:
    """What one network is.

    Attributes:
        lift: of LIFTS.
        memory: of MEMORIES, or WINDOWS.
        extra: of EXTRAS.
    """

    lift: str
    memory: str
    extra: str = "nothing"

    @property
    def can_be(self) -> bool:
        """Whether its lift can have the extra."""
        if self.extra == "taught_depths":
            return self.lift == "depth"
        return self.extra != "lidar" or self.lift not in GROUND_LIFTS

    def __str__(self) -> str:
        words = (self.lift, self.memory, *((self.extra,) if self.extra != "nothing" else ()))
        return "_".join(words)


def training(choice: Choice, options: argparse.Namespace) -> TrainingRun:
    """How it is trained."""
    arguments: list[object] = [
        *options.train,
        "--config", options.recipe,
        "--model.lift", choice.lift,
        "--data.cache_dir", options.out / "prepared",
    ]  # fmt: skip
    if choice.memory != "none":
        arguments += ["--sequences.history", HISTORY]
    if choice.memory not in ("none", WINDOWS):
        arguments += ["--model.memory.kind", choice.memory]
    if options.steps:
        arguments += ["--max_steps", options.steps]
    arguments += EXTRAS[choice.extra]
    return TrainingRun(options.out / str(choice), tuple(arguments))


def figures_of(metrics: Mapping[str, Any]) -> Figures:
    """What a judged network is worth, by region and by column."""
    hidden, velocity = metrics["hidden"][NEAR.name]["all"], metrics["velocity"]
    regions = dict.fromkeys((*FAR, *CLOSE))
    return {
        **{region: metrics["iou"][region] for region in regions},
        "hidden_known": hidden["known"],
        "hidden_iou": hidden["iou"],
        "hidden_objects": hidden["objects"],
        "moving_error": velocity["moving_error"],
        "moving_speed": velocity["moving_speed"],
        "kept_known_pitch": kept(metrics, "known", "pitch -3°", "pitch +3°"),
        "kept_unnoticed_pitch": kept(metrics, "unnoticed"),
        "kept_wrong_pitch": kept(metrics, "unknown", "pitch -2°", "pitch +2°"),
        "kept_camera_lost": kept(metrics, "lost"),
    }


def new_network(config: SegnetConfig) -> Segnet:
    """With random weights, none of which make an operation cheaper than trained ones do."""
    torch.manual_seed(0)
    model = Segnet(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight") and not parameter.any():
                parameter.normal_(std=0.1)
    return model


def latencies_ms(models: dict[Choice, Segnet], drive: Path, sets: int) -> dict[Choice, float]:
    """Median of what images and network take over the same sets, one after the other in turns."""
    samples: dict[Choice, list[float]] = {choice: [] for choice in models}
    with open_drive(drive) as opened:
        pipelines = {
            choice: Pipeline(make_engine(model, backend="cpu", precision="fp32"), opened.rig)
            for choice, model in models.items()
        }
        settle_memory()  # as load_engine does
        sensors = {model.config.sensor for model in models.values()} - {"none"}
        points_of = max(sensors, default="none")
        moments = itertools.islice(opened.sets(points_of=points_of), sets)
        for number, labelled in enumerate(tqdm(moments, total=sets, desc="latency", unit="set")):
            for choice, pipeline in pipelines.items():
                output = pipeline.process(labelled.frame_set)
                if number >= WARM_UP:
                    spent = output.timings_ms
                    samples[choice].append(spent["prepare"] + spent["engine"])
    return {choice: float(np.median(values)) for choice, values in samples.items()}


def table(
    rows: Mapping[Choice, Figures],
    models: Mapping[Choice, Segnet],
    latency: Mapping[Choice, float],
) -> Iterator[str]:
    """Lines of Markdown."""
    grid = next(iter(models.values())).config.grid
    regions = FAR if reach_m(grid) >= WIDE.outer_m else CLOSE
    titles = [_title(name) for name in regions]
    headings = ("lift", "memory", "with", "parameters", "ms", *titles, *FURTHER.values())
    yield "| " + " | ".join(headings) + " |"
    yield "|---" * len(headings) + "|"
    for choice, model in models.items():
        shown = {name: shown_share(value) for name, value in rows[choice].items()}
        shown["moving_error"] += f" of {shown['moving_speed']}"
        cells = [
            choice.lift,
            "none, taught by windows" if choice.memory == WINDOWS else choice.memory,
            "" if choice.extra == "nothing" else choice.extra.replace("_", " "),
            f"{num_parameters(model) / 1e3:.0f} k",
            f"{latency[choice]:.1f}",
            *(shown[name] for name in (*regions, *FURTHER)),
        ]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield f"{rows[next(iter(models))]['hidden_objects']:g} times a vehicle was hidden in a set"


def reach_m(grid: BevGrid) -> float:
    """How far it reaches to the side that it reaches least."""
    return min(-grid.x_min, -grid.y_min, grid.x_max, grid.y_max)


def _title(region: str) -> str:
    """ "IoU ±25 m" of within_25m, "10-20 m" of ring_10_20m."""
    kind, _, bounds = region.removesuffix("m").partition("_")
    return f"IoU ±{bounds} m" if kind == "within" else f"{bounds.replace('_', '-')} m"


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What all networks of a table share."""
    return {
        "recipe": Path(options.recipe).stem,
        "steps": options.steps,
        "train": [Path(drives).name for drives in options.train],
        "test": [drives.name for drives in options.test],
        "retention-stride": options.retention_stride,
    }


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", nargs="+", required=True, help="labelled drives")
    parser.add_argument("--test", nargs="+", type=Path, required=True, help="others, to judge on")
    parser.add_argument("--lifts", nargs="+", choices=LIFTS, default=list(LIFTS))
    memories = (*MEMORIES, WINDOWS)
    parser.add_argument("--memories", nargs="+", choices=memories, default=["none", "queue", "gru"])
    parser.add_argument("--with", nargs="+", choices=EXTRAS, default=["nothing"], dest="extras")
    parser.add_argument("--steps", type=int, help="of every training, instead of the recipe's")
    parser.add_argument("--recipe", default=config_path("recipes/tiny.yaml"))
    parser.add_argument("--retention-stride", type=int, default=5)
    parser.add_argument("--sets", type=int, default=20, help="whose latency is measured")
    parser.add_argument("--finished", action="store_true", help="train nothing")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--out", type=Path, default=Path("out/lift_table"))
    parser.add_argument("--results", type=Path, help="default: results.json in --out")
    return parser.parse_args()


def main() -> None:
    """Trains and judges what is missing, then prints the table."""
    options = parsed()
    path = options.results or options.out / "results.json"
    results = KeptFigures(Choice, settings(options), path)
    all_three = itertools.product(options.extras, options.memories, options.lifts)
    possible = (Choice(lift, memory, extra) for extra, memory, lift in all_three)
    choices = [choice for choice in possible if choice.can_be]
    if not choices:
        raise SystemExit(f"no lift of {options.lifts} can have {options.extras}")
    runs = {choice: training(choice, options) for choice in choices}
    judging = Judging(tuple(options.test), 1, options.retention_stride)

    def make(choice: Choice, done: Callable[[Choice], None]) -> None:
        runs[choice].run()
        judging.judge(runs[choice])
        done(choice)

    def found(choice: Choice) -> Figures | None:
        if not judging.is_done(runs[choice]):
            return None
        runs[choice].checked_metadata()
        return figures_of(judging.metrics(runs[choice]))

    def make_all(missing: list[Choice], done: Callable[[Choice], None]) -> None:
        do_all([partial(make, choice, done) for choice in missing], options.jobs, "network")

    there = results.gather(choices, found, None if options.finished else make_all)
    options.out.mkdir(parents=True, exist_ok=True)
    models = {choice: new_network(runs[choice].config.model) for choice in there}
    latency = latencies_ms(models, find_bags(options.test)[0], options.sets)
    lines = [*table(results.rows, models, latency), ""]
    lines.append(f"{torch.get_num_threads()} threads, fp32; {options.recipe}")
    (options.out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
