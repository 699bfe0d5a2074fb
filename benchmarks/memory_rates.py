# SPDX-License-Identifier: Apache-2.0
"""What a network with memory knows at the cameras' rate, where it was taught at another.

    bev simulate --town 11000..11007 --sets 100 --rate-hz 10 --jobs 2 --out out/drives/ten
    python benchmarks/memory_rates.py out/tiny_gru/weights.safetensors out/drives/ten

Every drive is judged as it is and with every --strides-th set, by weights whose memory takes in
sets every so many seconds of --intervals (`memory.interval_s` of a queue, `state_interval_s` of a
GRU). Weights without memory are judged once per stride.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from judged_training import shown_share

from bev_perception.datasets.drives import find_bags
from bev_perception.evaluation.answers import EngineRespondent
from bev_perception.evaluation.evaluate import evaluate
from bev_perception.evaluation.regions import NEAR
from bev_perception.inference import make_engine
from bev_perception.model import Segnet, load_weights
from bev_perception.model.segnet import with_memory

INTERVALS = {"queue": "interval_s", "gru": "state_interval_s"}
SMALLEST_S = 1e-3
"""For a queue, which has no interval of 0; every set of a camera is further from the last."""

AGES = ("all", "0_to_0.5_s", "0.5_to_1_s", "1_to_2_s")
"""Keys of the evaluator: all hidden vehicles, and by how long ago they were seen."""


def variants(model: Segnet, intervals_s: list[float]) -> Iterator[tuple[str, Segnet]]:
    """The network by the interval, in words, at which its memory takes in sets."""
    memory = model.config.memory
    if not memory.is_on:
        yield "no memory", model
        return
    name = INTERVALS[memory.kind]
    for interval_s in intervals_s:
        changed = replace(memory, **{name: max(interval_s, SMALLEST_S)})
        words = f"every {interval_s:g} s" if interval_s else "every set"
        yield words, with_memory(model, changed)


def row(model: Segnet, drives: list[Path], stride: int) -> list[str]:
    """IoU, hidden vehicles known by age, their IoU, error of the velocity of moving vehicles."""
    engine = make_engine(model, backend="cpu", precision="fp32")
    metrics = evaluate(drives, EngineRespondent(engine), stride=stride).metrics
    hidden, velocity = metrics["hidden"][NEAR.name], metrics["velocity"]
    return [
        shown_share(metrics["iou"][NEAR.name]),
        *(f"{shown_share(hidden[age]['known'])} of {hidden[age]['objects']}" for age in AGES),
        shown_share(hidden["all"]["iou"]),
        f"{shown_share(velocity['moving_error'])} of {shown_share(velocity['moving_speed'])}",
    ]


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("drives", type=Path, nargs="+", help="labelled drives")
    parser.add_argument("--strides", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--intervals", type=float, nargs="+", default=[0.0, 0.5], help="seconds")
    options = parser.parse_args()
    drives = find_bags(options.drives)
    model, _ = load_weights(options.weights)
    ages = [f"known, {age.replace('_', ' ')}" for age in AGES]
    print("| every | remembered | IoU | " + " | ".join(ages) + " | hidden IoU | velocity |")
    print("|---" * (5 + len(ages)) + "|")
    for stride in options.strides:
        for words, variant in variants(model, options.intervals):
            cells = [f"{stride}.", words, *row(variant, drives, stride)]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
