# SPDX-License-Identifier: Apache-2.0
"""What the lattice of attitudes costs: IoU by level_tolerance_deg, for a vehicle that rocks.

    python benchmarks/levelling.py BAG... [--tolerances 0 0.03 0.05 0.1 0.2] [--stride 4]

On a vehicle that rocks, the attitude that a map is levelled with is off by anything up to half a
step of the lattice in roll and in pitch. Here labelled drives are judged with extrinsics that are
off by such errors, spread evenly over a cell of the lattice, the same ones for every tolerance.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bev_perception.datasets.drives import find_bags, open_drive
from bev_perception.evaluation.evaluator import Evaluator
from bev_perception.geometry import Rig, RigidTransform
from bev_perception.inference import Engine, load_engine
from bev_perception.model import resolve_weights
from bev_perception.perception import Pipeline, PipelineSettings

NUM_ERRORS = 16
EXACT = PipelineSettings(level_tolerance_deg=0.0)


def pipelines(engine: Engine, rig: Rig, tolerance_deg: float) -> list[Pipeline]:
    """One for each error of the attitude; see perception.settled_attitude for the lattice."""
    step = math.radians(tolerance_deg) * math.sqrt(2.0)
    errors = (np.random.default_rng(0).random((NUM_ERRORS, 2)) - 0.5) * step
    return [
        Pipeline(engine, rig.moved(RigidTransform.from_euler(roll, pitch)), EXACT)
        for roll, pitch in (errors if tolerance_deg else errors[:1])
    ]


def main() -> None:
    """Prints IoU by tolerance."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bags", nargs="+", type=Path, help="labelled drives, or folders of them")
    parser.add_argument("--tolerances", nargs="+", type=float, default=[0, 0.03, 0.05, 0.1, 0.2])
    parser.add_argument("--stride", type=int, default=4, help="judge every N-th set")
    parser.add_argument("--weights", default="tiny")
    options = parser.parse_args()
    engine = load_engine(resolve_weights(options.weights))
    evaluators = {tolerance: Evaluator() for tolerance in options.tolerances}
    num_sets = 0
    bags = find_bags(options.bags)
    for bag in tqdm(bags, unit="drive"):
        with open_drive(bag) as drive:
            off = {each: pipelines(engine, drive.rig, each) for each in options.tolerances}
            for number, labelled in enumerate(drive.sets(options.stride)):
                num_sets += 1
                for tolerance, evaluator in evaluators.items():
                    choices = off[tolerance]
                    output = choices[number % len(choices)].process(labelled.frame_set)
                    truth = [box.transformed(output.level_T_base) for box in labelled.objects]
                    evaluator.update(output, truth)
    print(f"{num_sets} sets of {len(bags)} drives, weights {options.weights}")
    print(f"{'level_tolerance_deg':>20s} {'IoU +-25 m':>11s} {'IoU +-50 m':>11s}")
    for tolerance, evaluator in evaluators.items():
        iou = evaluator.compute()["iou"]
        print(f"{tolerance:20g} {iou['within_25m']:11.4f} {iou['within_50m']:11.4f}")


if __name__ == "__main__":
    main()
