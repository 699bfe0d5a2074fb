# SPDX-License-Identifier: Apache-2.0
"""Every lift beside the bilinear one: parameters, latency, memory, and whether it learns.

    python benchmarks/lifts.py [--preset tiny] [--cameras 4] [--repetitions 5] [--batch 2]
        [--learn BAGS --steps 300 --sets 4] [--lifts bilinear depth]

Each lift runs in a process of its own, so that its peak memory is its own, and the processes run
in turns, so that ratios of medians hold on a busy machine, too. Latency is that of the engine,
from images in host memory to maps there; a training step is forward, backward and AdamW in fp32.
Processor time of all threads stands beside wall time.

With --learn each lift learns a handful of sets of labelled bags by heart, by the same steps: the
loss of the first and the last ten steps and the vehicle IoU on the sets. This shows that it can
learn, and nothing of how well it judges what it has not seen.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from lift import ring

from bev_perception.datasets.preparation import ExtractionSettings, find_bags, prepare_bags
from bev_perception.inference import TorchEngine
from bev_perception.model import LIFTS, Segnet, SegnetConfig, build_lift_geometry, preset
from bev_perception.model.lift_geometry import batched
from bev_perception.training.batch import Batch, collate
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.dataset import SegnetDataset
from bev_perception.training.module import SegnetModule

Timing = tuple[float, float]
"""Seconds of wall time and of the processor."""


@dataclass(frozen=True)
class Task:
    """What a process measures."""

    config: SegnetConfig
    cameras: int
    batch: int
    learn: tuple[Path, ...]
    sets: int
    steps: int


def timed(function: Callable[[], object]) -> Timing:
    """Durations of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - processor


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(task: Task, connection: Connection) -> None:
    """A process that measures when it is told to."""
    config = task.config
    torch.manual_seed(0)
    rig = ring(config, task.cameras)
    geometry = build_lift_geometry(rig, config)
    model = Segnet(config)
    shape = (task.batch, task.cameras, *config.image_size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    facts = {"parameters": sum(part.numel() for part in model.parameters())}
    facts["table MB"] = geometry.num_bytes / 1e6
    start = peak_mib()
    engine = TorchEngine(model)
    engine.warm_up(task.cameras)
    infer = lambda: engine.infer(images[0], geometry)  # noqa: E731
    infer()
    facts["inference MiB"] = peak_mib() - start
    module = SegnetModule(model.train(), TrainConfig(model=config))
    optimiser = torch.optim.AdamW(module.parameters(), lr=2e-3, fused=True)
    taught = build_lift_geometry(rig, config, backward=True)
    batch = _noise_batch(config, images, [taught] * task.batch)

    def step(batch: Batch = batch) -> float:
        losses = module.losses(module(batch), batch)
        optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
        return float(losses["segmentation"].detach())

    actions: dict[str, Callable[[], Any]] = {
        "table": lambda: timed(lambda: build_lift_geometry(rig, config)),
        "infer": lambda: timed(infer),
        "step": lambda: timed(step),
        "memory": lambda: facts | {"training MiB": peak_mib() - start},
        "learn": lambda: learn(task),
    }
    while (order := connection.recv()) != "stop":
        connection.send(actions[order]())


def _noise_batch(config: SegnetConfig, images: np.ndarray, geometries: list[Any]) -> Batch:
    shape = (len(images), 1, *config.grid.shape)
    truth = torch.rand(shape, generator=torch.Generator().manual_seed(0)).round()
    return Batch(
        torch.from_numpy(images).permute(0, 1, 4, 2, 3),
        batched(geometries),
        truth,
        torch.ones(shape),
        truth,
        torch.zeros(len(images), 2, *config.grid.shape),
    )


def learn(task: Task) -> dict[str, float]:
    """A handful of sets by heart: losses of the segmentation and IoU on these sets."""
    config = task.config
    bags = prepare_bags(
        find_bags(task.learn)[: task.sets],
        Path("out/lifts/prepared"),
        ExtractionSettings(config.image_size, virtual_cameras=config.virtual_cameras),
        1,
        False,
    )
    data = [SegnetDataset([bag], config) for bag in bags]
    batches = [collate([sets[len(sets) // 2]]) for sets in data]
    torch.manual_seed(0)
    module = SegnetModule(Segnet(config).train(), TrainConfig(model=config))
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)
    losses = []
    for number in range(task.steps):
        batch = batches[number % len(batches)]
        terms = module.losses(module(batch), batch)
        optimiser.zero_grad(set_to_none=True)
        terms["total"].backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
        losses.append(float(terms["segmentation"].detach()))
    both = either = 0.0
    with torch.no_grad():
        for batch in batches:
            said = module(batch).occupancy > 0.5
            true = batch.occupied > 0.5
            counted = batch.valid > 0.5
            both += float((said & true & counted).sum())
            either += float(((said | true) & counted).sum())
    return {
        "first loss": float(np.mean(losses[:10])),
        "last loss": float(np.mean(losses[-10:])),
        "IoU": both / max(either, 1.0),
    }


def measured(tasks: dict[str, Task], repetitions: int, learning: bool) -> dict[str, dict[str, Any]]:
    """All figures by lift; the lifts take turns."""
    context = multiprocessing.get_context("spawn")
    connections, processes = {}, []
    for name, task in tasks.items():
        connections[name], theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(task, theirs), daemon=True))
        processes[-1].start()

    def asked(name: str, order: str) -> Any:
        connections[name].send(order)
        return connections[name].recv()

    found: dict[str, dict[str, Any]] = {name: {} for name in tasks}
    for order in ("table", "infer", "step"):
        for name in tasks:
            asked(name, order)  # warms up
        rounds = [{name: asked(name, order) for name in tasks} for _ in range(repetitions)]
        for name in tasks:
            for kind, part in (("ms", 0), ("cpu ms", 1)):
                values = [1e3 * one[name][part] for one in rounds]
                found[name][f"{order} {kind}"] = median(values)
    for name in tasks:
        found[name] |= asked(name, "memory")
        if learning:
            found[name] |= asked(name, "learn")
        connections[name].send("stop")
    for process in processes:
        process.join()
    return found


def print_tables(found: dict[str, dict[str, Any]], learning: bool) -> None:
    """Figures, and ratios to the first lift."""
    base = next(iter(found.values()))
    head = ("parameters", "table MB", "table ms", "inference MiB", "training MiB")
    print(f"{'lift':12s} " + " ".join(f"{name:>13s}" for name in head))
    for lift, row in found.items():
        print(f"{lift:12s} " + " ".join(f"{row[name]:13,.1f}" for name in head))
    print(f"\n{'lift':12s} {'inference':>38s} {'training step':>38s}")
    for lift, row in found.items():
        parts = []
        for order in ("infer", "step"):
            wall, processor = row[f"{order} ms"], row[f"{order} cpu ms"]
            ratio = processor / base[f"{order} cpu ms"]
            parts.append(f"{wall:9.1f} ms, processor {processor:7.1f} {ratio:4.2f}x")
        print(f"{lift:12s} " + " ".join(f"{part:>38s}" for part in parts))
    if learning:
        print(f"\n{'lift':12s} {'first loss':>11s} {'last loss':>11s} {'IoU':>6s}")
        for lift, row in found.items():
            print(
                f"{lift:12s} {row['first loss']:11.4f} {row['last loss']:11.4f} {row['IoU']:6.3f}"
            )


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny", help="a preset: tiny, base, seed, nuscenes")
    parser.add_argument("--lifts", nargs="+", default=list(LIFTS), choices=LIFTS)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--learn", nargs="+", type=Path, default=[], help="labelled bags")
    parser.add_argument("--sets", type=int, default=4, help="learned by heart, one of each bag")
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    config = preset(arguments.preset)
    tasks = {
        name: Task(
            replace(config, lift=name),
            arguments.cameras,
            arguments.batch,
            tuple(arguments.learn),
            arguments.sets,
            arguments.steps,
        )
        for name in arguments.lifts
    }
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}")
    print(
        f"{arguments.preset}: {arguments.cameras} cameras {config.image_size}, grid "
        f"{config.grid.shape}, training in batches of {arguments.batch}, fp32\n"
    )
    print_tables(
        measured(tasks, arguments.repetitions, bool(arguments.learn)), bool(arguments.learn)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
