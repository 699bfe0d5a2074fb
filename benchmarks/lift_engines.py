# SPDX-License-Identifier: Apache-2.0
"""Every lift in every engine of this machine's processor: time of one set, and how exact it is.

    python benchmarks/lift_engines.py [--preset tiny] [--cameras 4] [--repetitions 7]
        [--lifts depth attention] [--backends cpu onnx openvino] [--precisions fp32 bf16]

All engines are loaded and then take turns, so that ratios of medians hold on a busy machine, too.
Processor time is of all threads; what a set waits for is the wall's. Networks have random weights;
what is told of their exactness is the mean difference of the offsets from PyTorch's in fp32, in
metres.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from lift import ring

from bev_perception.errors import EngineError
from bev_perception.inference import Engine, TorchEngine, make_engine
from bev_perception.inference.engine_cache import EngineCache
from bev_perception.inference.memory import settle_memory
from bev_perception.model import LIFTS, Segnet, build_lift_geometry, preset

PRECISIONS = {"cpu": ("fp32", "bf16"), "onnx": ("fp32",), "openvino": ("fp32", "bf16")}


def engines_of(
    model: Segnet, arguments: argparse.Namespace, cache: EngineCache
) -> dict[str, Engine]:
    """By backend and precision, with a line for each that there is not."""
    engines = {}
    for backend in arguments.backends:
        for precision in PRECISIONS[backend]:
            if precision not in arguments.precisions:
                continue
            try:
                engine = make_engine(model, "cpu", precision, backend, cache)
            except EngineError as error:
                print(f"  {backend} {precision}: {error}")
                continue
            engines[f"{backend} {precision}"] = engine
    return engines


def measure(lift: str, arguments: argparse.Namespace) -> None:
    """One lift's lines of the table."""
    torch.manual_seed(0)
    model = Segnet(replace(preset(arguments.preset), lift=lift)).eval()
    config = model.config
    geometry = build_lift_geometry(ring(config, arguments.cameras), config)
    shape = (arguments.cameras, *config.image_size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = TorchEngine(model).infer(images, geometry).offset
    with tempfile.TemporaryDirectory() as folder:
        engines = engines_of(model, arguments, EngineCache(Path(folder)))
        settle_memory()  # as load_engine does
        if not engines:
            raise SystemExit("no engine is left; name other --backends or --precisions")
        found = {name: engine.infer(images, geometry) for name, engine in engines.items()}
        clocks = (time.process_time, time.perf_counter)
        times: dict[str, list[np.ndarray]] = {name: [] for name in engines}
        for _ in range(arguments.repetitions):
            for name, engine in engines.items():
                before = np.array([clock() for clock in clocks])
                engine.infer(images, geometry)
                times[name].append(np.array([clock() for clock in clocks]) - before)
    medians = {name: 1e3 * np.median(values, axis=0) for name, values in times.items()}
    first = next(iter(medians.values()))
    for name, middle in medians.items():
        difference = np.abs(found[name].offset - expected).mean()
        columns = " | ".join(
            f"{ms:.0f} | {ratio:.2f}" for ms, ratio in zip(middle, middle / first, strict=True)
        )
        print(f"| `{lift}` | {name} | {columns} | {difference:.1e} |", flush=True)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--lifts", nargs="+", choices=LIFTS, default=LIFTS)
    parser.add_argument("--backends", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    names = sorted({precision for each in PRECISIONS.values() for precision in each})
    parser.add_argument("--precisions", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, {arguments.preset}, {arguments.cameras} cameras")
    print("| lift | engine | processor ms | ratio | ms | ratio | difference |")
    print("|---|---|---|---|---|---|---|")
    for lift in arguments.lifts:
        measure(lift, arguments)


if __name__ == "__main__":
    main()
