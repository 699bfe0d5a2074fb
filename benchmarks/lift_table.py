# SPDX-License-Identifier: Apache-2.0
"""Every lift, with and without memory: trained alike, judged alike, in one table.

    bev simulate --town 0..79 --sets 24 --rate-hz 2 --traffic 2.5 --jobs 2 --out out/drives/busy
    bev simulate --town 11000..11019 --sets 20 --rate-hz 2 --jobs 2 --out out/drives/test
    python benchmarks/lift_table.py --train out/drives/busy --test out/drives/test

All networks have the encoder, decoder, optimiser and number of judged sets of one recipe; those
with memory see a history before each. What is trained or judged already is not done again. The
table is Markdown: what a network costs, what it knows by distance, of hidden vehicles and of how
fast things move, with a pitch that nobody told it of, and without a camera. `--recipe
config/recipes/label_fraction.yaml` makes it of small networks in an evening.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from judged_training import Judging, kept, num_parameters, shown_share
from tqdm import tqdm
from training_runs import TrainingRun, do_all

from bev_perception.datasets.drives import find_bags, open_drive
from bev_perception.evaluation.regions import NEAR, WIDE
from bev_perception.inference import load_engine
from bev_perception.model import load_weights
from bev_perception.model.lift_config import LIFTS
from bev_perception.model.memory_config import MEMORIES
from bev_perception.perception import Pipeline
from bev_perception.resources import config_path

HISTORY = 3
"""Sets before each judged one that a network with memory learns with."""

WARM_UP = 3
"""Sets of a drive whose latency is not counted."""

FAR = ("within_25m", "within_50m", "ring_0_20m", "ring_20_35m", "ring_35_50m")
CLOSE = ("within_25m", "ring_0_10m", "ring_10_20m", "ring_20_25m")
"""Regions of evaluation/regions.py for grids that reach 50 m, and for others."""

FURTHER = (
    "hidden known", "hidden IoU", "velocity error, moving", "pitch 2° untold", "worst camera lost",
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """One row.

    Attributes:
        lift: of LIFTS.
        memory: of MEMORIES.
        training: that makes it.
        judging: of all networks.
    """

    lift: str
    memory: str
    training: TrainingRun
    judging: Judging

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.training.folder.name

    def make(self) -> None:
        """Trains and judges it unless that is done."""
        self.training.run()
        self.judging.judge(self.training)

    def metrics(self) -> dict[str, Any]:
        """What it is worth."""
        return self.judging.metrics(self.training)


def networks_of(options: argparse.Namespace) -> list[Network]:
    """All that are asked for and that there can be."""
    choices = itertools.product(options.memories, options.lifts)
    return [network(lift, memory, options) for memory, lift in choices]


def network(lift: str, memory: str, options: argparse.Namespace) -> Network:
    """The network and how it is trained."""
    arguments: list[object] = [
        *options.train,
        "--config", options.recipe,
        "--model.lift", lift,
        "--data.cache_dir", options.out / "prepared",
    ]  # fmt: skip
    if memory != "none":
        arguments += ["--model.memory.kind", memory, "--sequences.history", HISTORY]
    if options.steps:
        arguments += ["--max_steps", options.steps]
    training = TrainingRun(options.out / f"{lift}_{memory}", tuple(arguments))
    judging = Judging(tuple(options.test), 1, options.retention_stride)
    return Network(lift, memory, training, judging)


def latencies_ms(networks: list[Network], drive: Path, sets: int) -> dict[str, float]:
    """Median of each one's engine over the same sets, one after the other in turns."""
    samples: dict[str, list[float]] = {each.name: [] for each in networks}
    with open_drive(drive) as opened:
        pipelines = {
            each.name: Pipeline(load_engine(each.training.weights, backend="cpu"), opened.rig)
            for each in networks
        }
        moments = itertools.islice(opened.sets(), sets)
        for number, labelled in enumerate(tqdm(moments, total=sets, desc="latency", unit="set")):
            for name, pipeline in pipelines.items():
                output = pipeline.process(labelled.frame_set)
                if number >= WARM_UP:
                    samples[name].append(output.timings_ms["engine"])
    return {name: float(np.median(values)) for name, values in samples.items()}


def table(networks: list[Network], latency: Mapping[str, float]) -> Iterator[str]:
    """Lines of Markdown."""
    regions = FAR if reach_m(networks[0]) >= WIDE.outer_m else CLOSE
    titles = [_title(name) for name in regions]
    headings = ("lift", "memory", "parameters", "ms", *titles, *FURTHER)
    yield "| " + " | ".join(headings) + " |"
    yield "|---" * len(headings) + "|"
    for each in networks:
        metrics = each.metrics()
        iou, hidden = metrics["iou"], metrics["hidden"][NEAR.name]["all"]
        velocity = metrics["velocity"]
        cells = [
            each.lift,
            each.memory,
            f"{num_parameters(each.training.weights) / 1e3:.0f} k",
            f"{latency[each.name]:.1f}",
            *(shown_share(iou[region]) for region in regions),
            shown_share(hidden["known"]),
            shown_share(hidden["iou"]),
            f"{shown_share(velocity['moving_error'])} of {shown_share(velocity['moving_speed'])}",
            shown_share(kept(metrics, "unknown", "pitch +2°")),
            shown_share(kept(metrics, "lost")),
        ]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield f"{hidden['objects']} hidden vehicles"


def reach_m(network: Network) -> float:
    """How far its grid reaches to the side that it reaches least."""
    grid = load_weights(network.training.weights)[0].config.grid
    return min(-grid.x_min, -grid.y_min, grid.x_max, grid.y_max)


def _title(region: str) -> str:
    """ "IoU ±25 m" of within_25m, "10-20 m" of ring_10_20m."""
    kind, _, bounds = region.removesuffix("m").partition("_")
    return f"IoU ±{bounds} m" if kind == "within" else f"{bounds.replace('_', '-')} m"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", nargs="+", required=True, help="labelled drives")
    parser.add_argument("--test", nargs="+", type=Path, required=True, help="others, to judge on")
    parser.add_argument("--lifts", nargs="+", choices=LIFTS, default=list(LIFTS))
    parser.add_argument("--memories", nargs="+", choices=MEMORIES, default=["none", "queue", "gru"])
    parser.add_argument("--steps", type=int, help="of every training, instead of the recipe's")
    parser.add_argument("--recipe", default=config_path("recipes/tiny.yaml"))
    parser.add_argument("--retention-stride", type=int, default=5)
    parser.add_argument("--sets", type=int, default=20, help="whose latency is measured")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--out", type=Path, default=Path("out/lift_table"))
    return parser.parse_args()


def main() -> None:
    """Trains and judges what is missing, then prints the table."""
    options = parsed()
    networks = networks_of(options)
    do_all([each.make for each in networks], options.jobs, "network")
    latency = latencies_ms(networks, find_bags(options.test)[0], options.sets)
    lines = [*table(networks, latency), "", f"{torch.get_num_threads()} threads; {options.recipe}"]
    (options.out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
