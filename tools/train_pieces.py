# SPDX-License-Identifier: Apache-2.0
"""Trains recipes one after another in pieces of limited time, on a machine lent for minutes.

    python tools/train_pieces.py config/recipes/base_half.yaml config/recipes/base.yaml \
        --out out/base --minutes 9

Renders the towns that are missing there, then trains, and ends in time with checkpoint and weights
written. The same command again goes on, until it says that all is finished. Each recipe trains in
its own folder of --out and begins with the weights of the one before. Needs the package's
requirements but not the package installed, and no network. Options that are not listed go to
every bev train.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent

CONFIG_NAME, WEIGHTS_NAME = "config.yaml", "weights.safetensors"
LAST_NAME, PREVIOUS_NAME = "last.ckpt", "previous.ckpt"
MINUTES_KEY = "bev_perception_minutes"
"""What bev train leaves and is not imported for: that takes seconds of the piece."""

RATE_HZ = "0.5"
RIG_SEED = "1"
SHORTEST_MINUTES = 0.5
"""A piece with less left for a recipe leaves it to the next one."""

PROBE_STEPS = 60
"""Of which the last third is timed."""


class PieceError(Exception):
    """One line that tells what failed."""


@dataclass(frozen=True)
class Stage:
    """One recipe of the chain.

    Attributes:
        recipe: its file.
        folder: where it trains.
        plan_minutes: how long it is meant to take in all; None for the recipe's own steps.
    """

    recipe: Path
    folder: Path
    plan_minutes: float | None

    @property
    def weights(self) -> Path:
        """What it leaves after every piece."""
        return self.folder / WEIGHTS_NAME

    @property
    def metadata(self) -> dict[str, Any]:
        """Of its weights; empty before the first piece."""
        if not self.weights.exists():
            return {}
        with safe_open(self.weights, framework="numpy") as file:
            return dict(json.loads(file.metadata()["metadata"]))

    @property
    def is_finished(self) -> bool:
        """Whether its weights are those of the last step."""
        metadata = self.metadata
        return bool(metadata) and metadata["steps"] >= metadata["recipe"]["max_steps"]


class Piece:
    """One run of this program.

    Args:
        options: the command line's.
        further: options for bev train.
    """

    def __init__(self, options: argparse.Namespace, further: Sequence[str]) -> None:
        self._options, self._further = options, list(further)
        self._deadline = time.monotonic() + 60.0 * options.minutes
        self._bags = [str(options.towns / name) for name in ("train", "varied")]
        self._validation = str(options.towns / "validation")

    @property
    def minutes_left(self) -> float:
        """Until the deadline."""
        return (self._deadline - time.monotonic()) / 60.0

    def render(self) -> bool:
        """Renders towns that are missing; False when time was over before all were there."""
        options = self._options
        rigs = ["--vary-rig", RIG_SEED]
        wanted: tuple[tuple[str, str, list[str]], ...] = (
            ("train", options.train, []),
            ("varied", options.varied, rigs),
            ("validation", options.validation, []),
        )
        for name, towns, further in wanted:
            where = ["--out", str(options.towns / name), "--jobs", str(options.jobs)]
            what = ["--town", towns, "--sets", str(options.sets), "--rate-hz", RATE_HZ]
            if not run_bev(["simulate", *what, *further, *where], self.minutes_left):
                return False
        return True

    def train(self, stage: Stage, before: Stage | None) -> None:
        """Trains until the stage is finished or the time over, its reserve left."""
        minutes = self.minutes_left - self._options.reserve_minutes
        if minutes < SHORTEST_MINUTES:
            return
        limit = ["--max_minutes", f"{minutes:.3f}"]
        if (stage.folder / LAST_NAME).exists():
            config = stage.folder / CONFIG_NAME
            run_bev(["train", "--config", str(config), "--resume", "true", *limit])
            return
        start = ["--init_weights", str(before.weights)] if before is not None else []
        command = ["train", *self._bags, "--config", str(stage.recipe), *self._further, *start]
        if stage.plan_minutes is not None:
            command += ["--max_steps", str(self._planned_steps(stage, command))]
            left = self.minutes_left - self._options.reserve_minutes
            limit = ["--max_minutes", f"{max(left, SHORTEST_MINUTES):.3f}"]  # the plan is kept
        watched = ["--data.validation", f"[{self._validation}]"]
        run_bev([*command, *watched, *limit, "--out", str(stage.folder)])

    def _planned_steps(self, stage: Stage, command: Sequence[str]) -> int:
        """How many steps the stage's minutes are, by the rate of a short training."""
        probe = stage.folder / "probe"
        shutil.rmtree(probe, ignore_errors=True)
        every = PROBE_STEPS // 3
        length = ["--max_steps", str(PROBE_STEPS), "--checkpoint_every", str(every)]
        cache = ["--data.cache_dir", str(stage.folder / "prepared")]
        run_bev([*command, *length, *cache, "--out", str(probe)])
        later, earlier = (minutes_at(probe / name) for name in (LAST_NAME, PREVIOUS_NAME))
        rate = every / (later - earlier)
        steps = max(1, int(rate * (stage.plan_minutes or 0.0)))
        shutil.rmtree(probe)
        say(f"{stage.recipe.stem}: {rate:.1f} steps a minute, so {steps} steps are planned")
        return steps


def minutes_at(checkpoint: Path) -> float:
    """Time of training at a checkpoint."""
    import torch

    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return float(state[MINUTES_KEY])


def run_bev(arguments: Sequence[str], minutes: float | None = None) -> bool:
    """Runs bev; False when its minutes were over, and it ended as by Ctrl-C.

    Raises:
        PieceError: it failed.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "bev_perception.cli.main", *arguments]
    say(" ".join(["bev", *arguments]))
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    try:
        status = process.wait(None if minutes is None else max(0.0, 60.0 * minutes))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()
        return False
    except KeyboardInterrupt:  # which bev got, too
        process.wait()
        raise
    if status:
        raise PieceError(f"bev {arguments[0]} ended with {status}; what it said stands above")
    return True


def stages_of(options: argparse.Namespace) -> list[Stage]:
    """The chain of recipes.

    Raises:
        PieceError: a recipe is missing, or the plan is for another number of them.
    """
    missing = [str(recipe) for recipe in options.recipes if not recipe.is_file()]
    if missing:
        raise PieceError(f"no such recipe: {', '.join(missing)}")
    plan = options.plan_minutes or [None] * len(options.recipes)
    if len(plan) != len(options.recipes):
        raise PieceError(
            f"--plan-minutes has {len(plan)} values for {len(options.recipes)} recipes"
        )
    return [
        Stage(recipe, options.out / recipe.stem, minutes)
        for recipe, minutes in zip(options.recipes, plan)
    ]


def work(piece: Piece, stages: Sequence[Stage]) -> bool:
    """One piece; whether all stages are finished now."""
    if all(stage.is_finished for stage in stages):
        return True
    if not piece.render():
        say("time is over while towns are rendered")
        return False
    before: Stage | None = None
    for stage in stages:
        if not stage.is_finished:
            piece.train(stage, before)
            report(stage)
        if not stage.is_finished:
            return False
        shutil.rmtree(stage.folder / "prepared", ignore_errors=True)  # made again where needed
        before = stage
    return True


def report(stage: Stage) -> None:
    """Says how far a stage is."""
    metadata = stage.metadata
    if not metadata:
        say(f"{stage.recipe.stem}: nothing trained yet")
        return
    steps, minutes = metadata["steps"], metadata["minutes"]
    iou = ", ".join(
        f"{name} {value:.3f}" for name, value in metadata["metrics"].items() if "within" in name
    )
    of_all = metadata["recipe"]["max_steps"]
    say(f"{stage.recipe.stem}: {steps} of {of_all} steps in {minutes} minutes; {iou}")


def say(text: str) -> None:
    """A line of progress, before what a child prints next."""
    print(f"train_pieces: {text}", flush=True)


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options, and those for bev train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", type=Path, nargs="+", metavar="RECIPE")
    parser.add_argument("--out", type=Path, required=True, help="folder of the recipes' folders")
    parser.add_argument("--towns", type=Path, default=Path("out/towns"), help="folder of bags")
    parser.add_argument("--minutes", type=float, default=9.0, help="of this piece, all included")
    parser.add_argument(
        "--reserve-minutes", type=float, default=1.5, help="kept for validation and weights"
    )
    parser.add_argument(
        "--plan-minutes",
        type=float,
        nargs="+",
        metavar="M",
        help="what each recipe is meant to take over all pieces; its number of steps then follows "
        "from the rate of a short training. Default: the steps that the recipes say",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="towns at a time")
    parser.add_argument("--train", default="0..199", metavar="SEEDS", help="towns of one rig")
    parser.add_argument("--varied", default="200..399", metavar="SEEDS", help="of varied rigs")
    parser.add_argument("--validation", default="10000..10009", metavar="SEEDS")
    parser.add_argument("--sets", type=int, default=24, help="moments of a town, 2 s apart")
    return parser.parse_known_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Does one piece; returns the exit status."""
    options, further = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        stages = stages_of(options)
        finished = work(Piece(options, further), stages)
    except PieceError as error:
        print(f"train_pieces: error: {error}", file=sys.stderr)
        return 2
    say(f"all is finished: {stages[-1].weights}" if finished else "the same command goes on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
