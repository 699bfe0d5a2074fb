# SPDX-License-Identifier: Apache-2.0
"""Vehicle IoU against the share of drives that have labels, for every way of learning without.

    python benchmarks/label_fraction.py --train out/towns/train --test out/towns/test

Trains once for every method, share and seed, all with the same steps, from the same recipe; then
prints a table and draws a picture. What is finished is not trained again, so the command may be
stopped and given again, and may run on several machines that share --out; --finished trains nothing
and tells of what is there. Seeds come one after the other, so that an early look has all methods
once. With --unlabelled the labels come from --train and the images without labels from elsewhere:
another town style, another rig, which --test is of, too.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from training_runs import TrainingRun, do_all

from bev_perception.resources import config_path
from bev_perception.training.semi_supervised.config import METHODS, SemiSupervisedConfig

METRIC = "iou_within_25m"
SUPERVISED = "none"
GOAL = 0.95
"""Share of the IoU with all labels that 10 % of them should reach."""


Choice = tuple[str, float]
"""Method, and percent of the drives that keep their labels."""


def training(choice: Choice, seed: int, options: argparse.Namespace) -> TrainingRun:
    """One training."""
    method, percent = choice
    arguments = [
        "--labelled", *options.train,
        "--config", options.recipe,
        "--seed", seed,
        "--data.validation", json.dumps([str(options.test)]),
        "--data.cache_dir", options.out / "prepared",
        "--data.labelled_fraction", percent / 100.0,
        "--semi_supervised.method", method,
    ]  # fmt: skip
    if options.unlabelled and SemiSupervisedConfig(method).uses_unlabelled:
        arguments += ["--unlabelled", *options.unlabelled]
    if options.steps:
        arguments += ["--max_steps", options.steps, "--validate_every", options.steps]
    return TrainingRun(options.out / f"{method}_{percent:g}_{seed}", tuple(arguments))


def finished_ious(runs: Mapping[tuple[Choice, int], TrainingRun]) -> dict[Choice, list[float]]:
    """IoU of the networks that are there, seeds of a choice together."""
    found: dict[Choice, list[float]] = {}
    for (choice, _), run in runs.items():
        if run.weights.is_file():
            found.setdefault(choice, []).append(run.metadata()["metrics"][METRIC])
    return found


def table(found: dict[Choice, list[float]], percents: list[float]) -> Iterator[str]:
    """Lines of Markdown: mean over the seeds so far, their standard deviation, share of all
    labels' IoU.
    """
    full = found.get((SUPERVISED, 100.0))
    yield "| method | " + " | ".join(f"{percent:g} %" for percent in percents) + " |"
    yield "|---" * (len(percents) + 1) + "|"
    for method in METHODS:
        cells = []
        for percent in percents:
            values = found.get((method, percent))
            if not values:
                cells.append("")
                continue
            spread = f" ± {np.std(values):.3f}" if len(values) > 1 else ""
            cell = f"{np.mean(values):.3f}{spread}"
            if full:
                cell += f" ({np.mean(values) / np.mean(full):.0%})"
            cells.append(cell)
        if any(cells):
            name = "labels alone" if method == SUPERVISED else method
            yield f"| {name} | " + " | ".join(cells) + " |"


def draw(found: dict[Choice, list[float]], path: Path) -> None:
    """The curves, one per method, seeds as bars."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), dpi=120)
    for method in METHODS:
        percents = sorted(percent for name, percent in found if name == method)
        if not percents:
            continue
        values = [found[method, percent] for percent in percents]
        label = "labels alone" if method == SUPERVISED else method
        style = "k--" if method == SUPERVISED else "-"
        axes.errorbar(
            percents, [np.mean(v) for v in values], [np.std(v) for v in values],
            fmt=style, marker="o", capsize=3, label=label,
        )  # fmt: skip
    full = found.get((SUPERVISED, 100.0))
    if full:
        goal = GOAL * float(np.mean(full))
        axes.axhline(goal, color="0.6", linewidth=1)
        place = axes.get_yaxis_transform()
        label = f"{GOAL:.0%} of the IoU with all labels"
        axes.text(0.02, goal, label, va="bottom", transform=place)
    axes.set(xscale="log", xlabel="drives with labels, %", ylabel="vehicle IoU within 25 m")
    axes.set_xticks(sorted({percent for _, percent in found}))
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
    parser.add_argument("--percents", nargs="+", type=float, default=[1, 5, 10, 25, 100])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="of every training, instead of the recipe's")
    parser.add_argument("--recipe", default=config_path("recipes/label_fraction.yaml"))
    parser.add_argument("--finished", action="store_true", help="train nothing")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--out", type=Path, default=Path("out/label_fraction"))
    return parser.parse_args()


def main() -> None:
    """Trains what is missing, then tells."""
    options = parsed()
    choices = list(itertools.product(options.methods, options.percents))
    runs = {
        (choice, seed): training(choice, seed, options)
        for seed in options.seeds
        for choice in choices
    }
    if not options.finished:
        do_all([run.run for run in runs.values()], options.jobs, "training")
    found = finished_ious(runs)
    if not found:
        raise SystemExit(f"nothing in {options.out} is finished yet; leave --finished out")
    values = {f"{method} {percent:g} %": ious for (method, percent), ious in found.items()}
    (options.out / "results.json").write_text(json.dumps(values, indent=1))
    draw(found, options.out / "label_fraction.png")
    print("\n".join(table(found, options.percents)))
    print(f"{options.out / 'label_fraction.png'}, {options.out / 'results.json'}")


if __name__ == "__main__":
    main()
