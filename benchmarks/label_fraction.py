# SPDX-License-Identifier: Apache-2.0
"""Vehicle IoU against the share of labels, for every way of learning without.

    python benchmarks/label_fraction.py --train out/towns/train --test out/towns/test \\
        --steps 600 --more-steps 600

Trains once for every method, share and seed, all with the same steps, from the same recipe; then
prints a table and draws a picture. With --more-steps every method, labels alone too, goes on from
a network that learned --steps from the same labels, as one goes on when recordings without labels
come in; the table then has those networks, too. With --units drive set there are rows, too, where
as many sets have labels, spread over all drives, instead of all sets of few drives. With
--unlabelled the labels come from --train and the images without labels from elsewhere: another
town style, another rig, which --test is of, too.

What is finished is not trained again, so the command may be stopped and given again, and may run
on several machines that share --out. --results FILE keeps the figures apart from the networks: what
it holds of another machine or day, of drives and a recipe of these names, counts as finished.
--finished trains nothing and tells of what is there. Seeds come one after the other, so that an
early look has all methods once.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from kept_figures import Figures, KeptFigures
from training_runs import TrainingRun, do_all

from bev_perception.resources import config_path
from bev_perception.training.semi_supervised.config import METHODS, SemiSupervisedConfig
from bev_perception.training.semi_supervised.label_split import LABELLED_UNITS

METRIC = "iou_within_25m"
SUPERVISED = "none"
BEFORE = "before"
"""Name of the networks that methods go on from."""
NAMES = {BEFORE: "labels alone, before", SUPERVISED: "labels alone"}
OF_UNITS = {"drive": "", "set": ", sets of all drives"}
GOAL = 0.95
"""Share of the IoU with all labels that 10 % of them should reach."""


@dataclass(frozen=True)
class Choice:
    """What one network was taught by.

    Attributes:
        method: one of METHODS, or BEFORE.
        percent: of the drives or sets, those that keep their labels.
        seed: of weights, order of the samples, and which drives or sets those are.
        unit: one of LABELLED_UNITS; with all labels they are the same, "drive".
    """

    method: str
    percent: float
    seed: int
    unit: str = "drive"

    @property
    def name(self) -> str:
        """Its folder."""
        unit = "" if self.unit == "drive" else f"_{self.unit}"
        return f"{self.method}_{self.percent:g}_{self.seed}{unit}"


def training(choice: Choice, options: argparse.Namespace) -> TrainingRun:
    """One training."""
    goes_on = options.more_steps and choice.method != BEFORE
    method = SUPERVISED if choice.method == BEFORE else choice.method
    arguments = [
        "--labelled", *options.train,
        "--config", options.recipe,
        "--seed", choice.seed,
        "--data.validation", json.dumps([str(options.test)]),
        "--data.cache_dir", options.out / "prepared",
        "--data.labelled_fraction", choice.percent / 100.0,
        "--data.labelled_unit", choice.unit,
        "--semi_supervised.method", method,
    ]  # fmt: skip
    if options.unlabelled and SemiSupervisedConfig(method).uses_unlabelled:
        arguments += ["--unlabelled", *options.unlabelled]
    steps = options.more_steps if goes_on else options.steps
    if steps:
        arguments += ["--max_steps", steps, "--validate_every", steps]
    if goes_on:
        before = training(replace(choice, method=BEFORE), options)
        arguments += ["--init_weights", before.weights]
    return TrainingRun(options.out / choice.name, tuple(arguments))


class Results(KeptFigures[Choice]):
    """IoU of the networks that are finished."""

    def of(self, method: str, percent: float, unit: str = "drive") -> dict[int, float]:
        """Those that there are, by seed."""
        unit = "drive" if percent == 100.0 else unit
        return {
            choice.seed: figures["iou"]
            for choice, figures in self.rows.items()
            if (choice.method, choice.percent, choice.unit) == (method, percent, unit)
        }

    def lines(self) -> Iterator[tuple[str, str]]:
        """Methods and units that there are, in their order."""
        found = {(choice.unit, choice.method) for choice in self.rows}
        for unit, method in itertools.product(LABELLED_UNITS, (BEFORE, *METHODS)):
            if (unit, method) in found:
                yield unit, method


def table(results: Results, percents: list[float]) -> Iterator[str]:
    """Lines of Markdown: mean over the seeds so far, their standard deviation, mean share of the
    IoU with all labels of the same seed, and how many seeds where others have more.
    """
    full = results.of(SUPERVISED, 100.0)
    most = len({choice.seed for choice in results.rows})
    yield "| method | " + " | ".join(f"{percent:g} %" for percent in percents) + " |"
    yield "|---" * (len(percents) + 1) + "|"
    for unit, method in results.lines():
        cells = []
        for percent in percents:
            values = results.of(method, percent, unit)
            if not values:
                cells.append("")
                continue
            ious = list(values.values())
            cell = f"{np.mean(ious):.3f}"
            if len(ious) > 1:
                cell += f" ± {np.std(ious):.3f}"
            notes = [f"{len(ious)} of {most} seeds"] if len(ious) < most else []
            shares = [iou / full[seed] for seed, iou in values.items() if seed in full]
            if shares:
                notes.insert(0, f"{np.mean(shares):.0%}")
            cells.append(f"{cell} ({', '.join(notes)})" if notes else cell)
        if any(cells):
            yield f"| {line_name(unit, method)} | " + " | ".join(cells) + " |"


def line_name(unit: str, method: str) -> str:
    """As a person reads it."""
    return NAMES.get(method, method) + OF_UNITS[unit]


def draw(results: Results, path: Path) -> None:
    """The curves, one per method and unit, seeds as bars."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), dpi=120)
    colours = {BEFORE: "0.5", SUPERVISED: "k"}
    colours |= {method: f"C{number}" for number, method in enumerate(METHODS[1:])}
    for unit, method in results.lines():
        rows = (choice for choice in results.rows if choice.method == method)
        percents = sorted({row.percent for row in rows if row.unit == unit or row.percent == 100})
        values = [list(results.of(method, percent, unit).values()) for percent in percents]
        axes.errorbar(
            percents, [np.mean(v) for v in values], [np.std(v) for v in values],
            fmt="-o" if unit == "drive" else "--s", color=colours[method], capsize=3,
            label=line_name(unit, method),
        )  # fmt: skip
    full = list(results.of(SUPERVISED, 100.0).values())
    if full:
        goal = GOAL * float(np.mean(full))
        axes.axhline(goal, color="0.6", linewidth=1)
        place = axes.get_yaxis_transform()
        label = f"{GOAL:.0%} of the IoU with all labels"
        axes.text(0.02, goal, label, va="bottom", transform=place)
    axes.set(xscale="log", xlabel="labels, %", ylabel="vehicle IoU within 25 m")
    axes.set_xticks(sorted({choice.percent for choice in results.rows}))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", nargs="+", required=True, help="labelled bags")
    parser.add_argument("--unlabelled", nargs="+", default=[], help="more bags, without labels")
    parser.add_argument("--test", type=Path, required=True, help="labelled bags to judge on")
    parser.add_argument("--percents", nargs="+", type=float, default=[1.0, 5.0, 10.0, 25.0, 100.0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--units", nargs="+", choices=LABELLED_UNITS, default=["drive"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="of every training, instead of the recipe's")
    parser.add_argument("--more-steps", type=int, help="in which methods go on from labels alone")
    parser.add_argument("--recipe", type=Path, default=config_path("recipes/label_fraction.yaml"))
    parser.add_argument("--finished", action="store_true", help="train nothing")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--out", type=Path, default=Path("out/label_fraction"))
    parser.add_argument("--results", type=Path, help="default: results.json in --out")
    return parser.parse_args()


def main() -> None:
    """Trains what is missing, then tells."""
    options = parsed()
    path = options.results or options.out / "results.json"
    results = Results(Choice, settings(options), path)
    methods = ([BEFORE] if options.more_steps else []) + options.methods
    asked = itertools.product(options.seeds, options.units, methods, options.percents)
    choices = [
        Choice(method, percent, seed, unit if percent < 100.0 else "drive")
        for seed, unit, method, percent in asked
    ]
    choices = list(dict.fromkeys(choices))
    runs = {choice: training(choice, options) for choice in choices}

    def found(choice: Choice) -> Figures | None:
        if not runs[choice].weights.is_file():
            return None
        return {"iou": runs[choice].checked_metadata()["metrics"][METRIC]}

    def make_all(missing: list[Choice], done: Callable[[Choice], None]) -> None:
        train(missing, done, runs, options)

    results.gather(choices, found, None if options.finished else make_all)
    options.out.mkdir(parents=True, exist_ok=True)
    draw(results, options.out / "label_fraction.png")
    print("\n".join(table(results, options.percents)))
    print(f"{options.out / 'label_fraction.png'}, {path}")


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What all networks of a curve share."""
    return {
        "recipe": options.recipe.stem,
        "steps": options.steps,
        "more_steps": options.more_steps,
        "train": [Path(drives).name for drives in options.train],
        "unlabelled": [Path(drives).name for drives in options.unlabelled],
        "test": options.test.name,
    }


def train(
    missing: list[Choice],
    done: Callable[[Choice], None],
    runs: dict[Choice, TrainingRun],
    options: argparse.Namespace,
) -> None:
    """All that is missing, what others go on from first; says of each when it is done."""

    def make(choice: Choice) -> None:
        runs[choice].run()
        done(choice)

    for seed in options.seeds:
        of_seed = [choice for choice in missing if choice.seed == seed]
        after = [choice for choice in of_seed if choice.method != BEFORE]
        before = [replace(choice, method=BEFORE) for choice in of_seed if options.more_steps]
        before = list(dict.fromkeys(before))
        for part in (before, after):
            tasks = [partial(make, choice) for choice in part]
            do_all(tasks, options.jobs, f"network, seed {seed}")


if __name__ == "__main__":
    main()
