# SPDX-License-Identifier: Apache-2.0
"""One recipe with one thing changed at a time: trained alike, judged alike, in one table.

    bev simulate --town 0..99 --sets 24 --rate-hz 0.5 --jobs 2 --out out/towns/train
    bev simulate --town 11000..11019 --sets 10 --rate-hz 0.5 --jobs 2 --out out/towns/test
    python benchmarks/ablation.py --train out/towns/train --test out/towns/test --steps 800 --jobs 2

Rows are those of benchmarks/ablation_small.yaml, or of another such file. What is trained or
judged already is not done again, so the command may be stopped and given again; --finished trains
nothing and tells of what is there. --base-seeds trains the recipe itself with further seeds: how
far these lie apart is what a single seed's difference must exceed to mean anything.

Leaves table.md, results.json and ablation.png in --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablation_changes import BASE, Ablation, Change, load_ablation
from ablation_table import Row, conditions, draw, table
from common_grid import CommonGridRespondent
from judged_training import Judging, kept, num_parameters
from training_runs import TrainingRun, do_all

from bev_perception.cli.output_directory import write_json
from bev_perception.datasets.drives import find_bags
from bev_perception.errors import BevError, ConfigurationError
from bev_perception.evaluation.evaluate import evaluate
from bev_perception.evaluation.regions import NEAR
from bev_perception.geometry import BevGrid
from bev_perception.inference import load_engine
from bev_perception.model import load_weights
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.splits import prepared_splits

COMMON_GRID_FILE = "common_grid.json"
CONDITIONS_FILE = "conditions.json"


@dataclass(frozen=True)
class Run:
    """One network of a row.

    Attributes:
        change: the row.
        seed: of weights, order and augmentation.
        grid: the network's own.
        judged_grid: the recipe's, on which all are judged.
        training: that makes it.
        judging: of all networks.
    """

    change: Change
    seed: int
    grid: BevGrid
    judged_grid: BevGrid
    training: TrainingRun
    judging: Judging

    def make(self) -> None:
        """Trains and judges it unless that is done."""
        self.training.run()
        self.judging.judge(self.training)
        if self.grid != self.judged_grid and not self._common_file.is_file():
            self._judge_on_common_grid()

    @property
    def is_done(self) -> bool:
        """Whether it can be told of."""
        judged = self.training.weights.is_file() and self.judging.is_done(self.training)
        return judged and (self.grid == self.judged_grid or self._common_file.is_file())

    def values(self) -> dict[str, Any]:
        """What it is worth and what it cost; see docs/ablation.md."""
        metrics = self.judging.metrics(self.training)
        judged = metrics
        if self.grid != self.judged_grid:
            judged = json.loads(self._common_file.read_text(encoding="utf-8"))
        metadata = self.training.metadata()
        resumed = "--resume" in metadata["command"]
        return {
            "seed": self.seed,
            "iou": judged["iou"][NEAR.name],
            "iou_on_its_own_grid": metrics["iou"][NEAR.name],
            "best_iou": judged["precision_recall"]["best_iou"],
            "center_ap": judged["center_ap"][NEAR.name]["mean"],
            "ece": judged["calibration"]["ece"],
            "kept_known_pitch": kept(metrics, "known", "pitch -3°", "pitch +3°"),
            "kept_untold_pitch": kept(metrics, "unknown", "pitch -2°", "pitch +2°"),
            "kept_camera_lost": kept(metrics, "lost"),
            "seconds_per_step": None if resumed else 60.0 * metadata["minutes"] / metadata["steps"],
            "parameters": num_parameters(load_weights(self.training.weights)[0]),
            "steps": metadata["steps"],
            "sets": metrics["sets"],
            "retention_sets": metrics["retention"]["sets"],
            "folder": self.training.folder.name,
        }

    @property
    def _common_file(self) -> Path:
        return self.training.folder / self.judging.folder / COMMON_GRID_FILE

    def _judge_on_common_grid(self) -> None:
        engine = load_engine(self.training.weights, backend="cpu")
        respondent = CommonGridRespondent(engine, self.judged_grid)
        bags = find_bags(self.judging.test)
        result = evaluate(bags, respondent, stride=self.judging.stride, show_progress=False)
        write_json(self._common_file, result.metrics)


def runs_of(ablation: Ablation, options: argparse.Namespace) -> list[Run]:
    """All networks, the recipe's first."""
    base = ablation.config(BASE)
    steps = options.steps or base.max_steps
    wanted = [BASE, *(change for change in ablation.changes[1:] if _is_asked_for(change, options))]
    further = [(BASE, seed) for seed in options.base_seeds if seed not in options.seeds]
    pairs = [(BASE, seed) for seed in options.seeds] + further
    pairs += [(change, seed) for seed in options.seeds for change in wanted[1:]]
    judging = Judging(tuple(options.test), options.stride, options.retention_stride)
    return [
        Run(
            change,
            seed,
            ablation.config(change).model.grid,
            base.model.grid,
            _training(ablation, change, seed, steps, options),
            judging,
        )
        for change, seed in pairs
    ]


def _is_asked_for(change: Change, options: argparse.Namespace) -> bool:
    words = options.only
    return not words or any(word in f"{change.group}: {change.name}" for word in words)


def _training(
    ablation: Ablation, change: Change, seed: int, steps: int, options: argparse.Namespace
) -> TrainingRun:
    arguments = [
        *options.train,
        "--config", ablation.recipe,
        *change.arguments,
        "--seed", seed,
        "--max_steps", steps,
        "--data.cache_dir", options.cache or options.out / "prepared",
        "--data.extraction_processes", options.jobs,
    ]  # fmt: skip
    folder = options.out / change.folder_name(ablation.recipe, steps, seed)
    return TrainingRun(folder, tuple(arguments))


def check_conditions(options: argparse.Namespace) -> None:
    """Notes in --out what all networks there have in common, beside recipe and steps.

    Raises:
        ConfigurationError: those that are there have something else.
    """
    path = options.out / CONDITIONS_FILE
    facts = {
        "train": [Path(drives).name for drives in options.train],
        "test": [drives.name for drives in options.test],
        "stride": options.stride,
        "retention-stride": options.retention_stride,
    }
    if path.is_file():
        there = json.loads(path.read_text(encoding="utf-8"))
        other = [name for name, value in facts.items() if there.get(name) != value]
        if other:
            raise ConfigurationError(
                f"{options.out} holds networks of other conditions: --{other[0]} was "
                f"{there.get(other[0])}, and is {facts[other[0]]} now; give another --out"
            )
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(path, facts)


def prepare(runs: list[Run]) -> None:
    """Prepares the drives once for every size of image, before trainings side by side need them."""
    configs: dict[object, TrainConfig] = {}
    for run in runs:
        if not run.training.weights.is_file():
            config = run.training.config
            configs.setdefault(config.model.image_size, config)
    for config in configs.values():
        prepared_splits(config, show_progress=True)


def rows_of(ablation: Ablation, runs: list[Run]) -> list[Row]:
    """What is known by row, in the file's order."""
    done = [run for run in runs if run.is_done]
    rows = []
    for change in ablation.changes:
        values = [run.values() for run in done if run.change == change]
        if values:
            rows.append(Row(change.group, change.name, dict(change.options), values))
    return rows


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    beside = Path(__file__).with_name("ablation_small.yaml")
    parser.add_argument("--train", nargs="+", required=True, help="labelled drives")
    parser.add_argument("--test", nargs="+", type=Path, required=True, help="others, to judge on")
    parser.add_argument("--changes", type=Path, default=beside, help="the rows (YAML)")
    parser.add_argument("--only", nargs="+", default=[], help="rows whose words hold one of these")
    parser.add_argument("--steps", type=int, help="of every training, instead of the recipe's")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of every row")
    parser.add_argument("--base-seeds", nargs="+", type=int, default=[], help="of the recipe, more")
    parser.add_argument("--stride", type=int, default=2, help="judge every so many sets")
    parser.add_argument("--retention-stride", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--finished", action="store_true", help="train nothing")
    parser.add_argument("--cache", type=Path, help="prepared drives, as of an earlier training")
    parser.add_argument("--out", type=Path, default=Path("out/ablation"))
    return parser.parse_args()


def main() -> int:
    """Trains and judges what is missing, then tells."""
    options = parsed()
    try:
        ablation = load_ablation(options.changes)
        check_conditions(options)
        runs = runs_of(ablation, options)
        if not options.finished:
            prepare(runs)
            do_all([run.make for run in runs], options.jobs, "network")
        rows = rows_of(ablation, runs)
    except BevError as error:
        print(f"ablation.py: {error}", file=sys.stderr)
        return 2
    if not rows or rows[0].group:
        print(f"ablation.py: the recipe itself is not finished in {options.out}", file=sys.stderr)
        return 2
    lines = [*table(rows), "", *conditions(rows, ablation.recipe.name)]
    (options.out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(options.out / "results.json", [row.to_dict() for row in rows])
    draw(rows, options.out / "ablation.png")
    print("\n".join(lines))
    print(f"\n{options.out}: table.md, results.json, ablation.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
