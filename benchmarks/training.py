# SPDX-License-Identifier: Apache-2.0
"""Training against the straightforward loop: samples per second at equal model and batch.

    python benchmarks/training.py [--preset tiny] [--batch 4] [--steps 3] [--rounds 3]
        [--workers 0] [--programs straightforward fp32 bf16] [--bag BAG] [--camera-size 448 672]

The straightforward loop is the published one, written down again in straightforward_training.py:
every sample is decoded from its JPEG files, resized and turned into targets in Python when its
turn comes, and every voxel is sampled from every camera by a 5D grid_sample. Ours is what ``bev
train`` does, its default augmentation included, which the other loop has none of. It reads a
prepared bag; preparing is done once for a whole training and printed apart.

Each program runs in a process of its own; they take turns, some steps at a time, and ratios are
of medians. The processor time of all threads is printed beside, as it says the same on a busy
machine, and which share of the time steps waited for their batch.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch
from drawn_bag import write_drawn_bag
from lightning.pytorch import Callback, Trainer
from straightforward_training import FileSample, FileSamples, StraightforwardLoop

from bev_perception.bags import BagReader
from bev_perception.datasets.preparation import ExtractionSettings, prepare_bag
from bev_perception.datasets.prepared_bag import PreparedBag
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.frames import levelled
from bev_perception.model import Segnet, preset
from bev_perception.perception import Preparation, Synchronizer, frame_sets
from bev_perception.training import AugmentationConfig, DataConfig, TrainConfig
from bev_perception.training.batch import collate
from bev_perception.training.callbacks import LoadingTime
from bev_perception.training.dataset import SegnetDataset
from bev_perception.training.train import train
from bev_perception.training.views import ViewConfig

STRAIGHTFORWARD = "straightforward"
WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Task:
    """What every process works on."""

    folder: Path
    bag: Path
    preset: str
    batch: int
    workers: int
    steps: int
    threads: int


def file_samples(task: Task) -> list[FileSample]:
    """The bag's sets as JPEG files with calibrations of the model's image size."""
    samples = []
    with BagReader(task.bag) as reader:
        rig = reader.rig()
        prepared = Preparation(rig, preset(task.preset).image_size).rig
        for frame_set in frame_sets(reader, Synchronizer(rig.names)):
            objects = reader.objects(frame_set.stamp_ns)
            if objects is None or len(frame_set.frames) < len(rig):
                continue
            files = []
            for name in rig.names:
                file = task.folder / f"{frame_set.stamp_ns}_{name}.jpg"
                image = frame_set.frames[name].image
                cv2.imwrite(str(file), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
                files.append(file)
            pose = frame_set.world_T_base
            level_T_base = RigidTransform.identity() if pose is None else levelled(pose)
            boxes = tuple(box.transformed(level_T_base) for box in objects)
            samples.append(FileSample(tuple(files), prepared.moved(level_T_base), boxes))
    return samples


class Turns(Callback):
    """Lets a training go some steps at a time, and tells how long they took."""

    def __init__(self, task: Task, connection: Connection) -> None:
        self._task = task
        self._connection = connection
        self._done = 0
        self._loading = LoadingTime()
        self._wall = self._cpu = 0.0

    def on_train_batch_start(self, *args: Any) -> None:
        self._loading.has_come()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self._loading.is_done()
        self._done += 1
        if self._done == WARM_UP_STEPS:
            self._connection.send(None)
            self._wait(trainer)
        elif self._done > WARM_UP_STEPS and (self._done - WARM_UP_STEPS) % self._task.steps == 0:
            wall, cpu = time.perf_counter() - self._wall, cpu_seconds() - self._cpu
            self._connection.send((wall, cpu, self._loading.share))
            self._wait(trainer)

    def _wait(self, trainer: Trainer) -> None:
        trainer.should_stop = not self._connection.recv()
        self._loading = LoadingTime()
        self._loading.is_done()
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()


def cpu_seconds() -> float:
    """Of this process; loader processes count when they have ended, so only without workers."""
    return time.process_time()


def serve(name: str, task: Task, connection: Connection) -> None:
    """A process with one program."""
    torch.set_num_threads(task.threads)
    if name == STRAIGHTFORWARD:
        serve_straightforward(task, connection)
        return
    config = TrainConfig(
        out=task.folder / f"train_{name}",
        data=DataConfig(train=(task.bag,), cache_dir=task.folder / "cache", workers=task.workers),
        model=preset(task.preset),
        batch_size=task.batch,
        max_steps=25_000,
        checkpoint_every=25_000,
        picture_every=25_000,
        precision=name,
        accelerator="cpu",
    )
    train(config, show_progress=False, callbacks=[Turns(task, connection)])


def serve_straightforward(task: Task, connection: Connection) -> None:
    """The other loop, some steps for every request."""
    torch.manual_seed(0)
    model = Segnet(preset(task.preset))
    loop = StraightforwardLoop(file_samples(task), model, task.batch, task.workers)
    loading = LoadingTime()
    step = timed_loading(loop, loading)
    for _ in range(WARM_UP_STEPS):
        step()
    connection.send(None)
    while connection.recv():
        loop_share = LoadingTime()
        step = timed_loading(loop, loop_share)
        wall, cpu = time.perf_counter(), cpu_seconds()
        for _ in range(task.steps):
            step()
        taken = time.perf_counter() - wall, cpu_seconds() - cpu
        connection.send((*taken, loop_share.share))


def timed_loading(loop: StraightforwardLoop, loading: LoadingTime) -> Callable[[], None]:
    """The loop's step, its waiting for batches noted."""

    def step() -> None:
        loading.is_done()
        batch = next(loop.batches)
        loading.has_come()
        loop.step(batch)
        loading.is_done()

    return step


def measure_loading(task: Task, seconds: float = 8.0) -> None:
    """Prints what one process loads when nothing else is to do."""
    config, torch_threads = preset(task.preset), torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    bags = [PreparedBag(task.folder / "timed")]
    own = AugmentationConfig(views=ViewConfig(turn_deg=2.0, body_pitch_deg=3.0, zoom=0.1))
    files = FileSamples(file_samples(task), config)
    programs: dict[str, Callable[[int], object]] = {
        STRAIGHTFORWARD: lambda number: files[number % len(files)]
    }
    for name, augmentation in {
        "as recorded": None,
        "default augmentation": AugmentationConfig(),
        "every camera warped, tables anew": own,
    }.items():
        data = SegnetDataset(bags, config, augmentation=augmentation)
        programs[name] = lambda number, data=data: collate([data[number % len(data), number]])
    print(f"  {'loading alone, one thread':34s} {'samples/s':>10s} {'CPU ms/sample':>14s}")
    for name, load in programs.items():
        load(0)
        started, worked, count = time.perf_counter(), cpu_seconds(), 0
        while time.perf_counter() - started < seconds:
            count += 1
            load(count)
        wall, cpu = time.perf_counter() - started, cpu_seconds() - worked
        print(f"  {name:34s} {count / wall:10.1f} {1e3 * cpu / count:14.1f}")
    torch.set_num_threads(torch_threads)


def measure(names: list[str], task: Task, rounds: int) -> None:
    """Prints the table."""
    context = multiprocessing.get_context("spawn")
    ends, processes = {}, []
    for name in names:
        ends[name], there = context.Pipe()
        process = context.Process(target=serve, args=(name, task, there), daemon=task.workers == 0)
        process.start()
        processes.append(process)
        ends[name].recv()
    figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            ends[name].send(True)
            figures[name].append(ends[name].recv())
    for name in names:
        ends[name].send(False)
    for process in processes:
        process.join()
    samples = task.steps * task.batch
    print(f"  {'program':16s} {'samples/s':>10s} {'ratio':>7s} {'CPU s/sample':>13s} ", end="")
    print(f"{'ratio':>7s} {'waits for data':>15s}")
    base_wall, base_cpu, _ = np.median(figures[names[0]], axis=0)
    for name in names:
        wall, cpu, share = np.median(figures[name], axis=0)
        print(f"  {name:16s} {samples / wall:10.2f} {base_wall / wall:6.2f}x ", end="")
        print(f"{cpu / samples:13.3f} {base_cpu / cpu:6.2f}x {share:15.1%}")


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="tiny", help="a preset: tiny, base, seed, nuscenes")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3, help="steps of one turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0, help="loader processes of every program")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--programs", nargs="+", default=[STRAIGHTFORWARD, "fp32", "bf16"])
    parser.add_argument("--loading-seconds", type=float, default=8.0, help="of each loader")
    parser.add_argument("--bag", type=Path, default=None, help="labelled bag; default a drawn one")
    parser.add_argument("--cameras", type=int, default=4, help="of the drawn bag")
    parser.add_argument("--camera-size", type=int, nargs=2, default=(448, 672))
    arguments = parser.parse_args()
    config = preset(arguments.preset)
    with tempfile.TemporaryDirectory() as folder:
        bag = arguments.bag or Path(folder) / "bag"
        if arguments.bag is None:
            write_drawn_bag(bag, arguments.cameras, tuple(arguments.camera_size))
        started = time.perf_counter()
        prepare_bag(bag, Path(folder) / "timed", ExtractionSettings(config.image_size))
        prepared = PreparedBag(Path(folder) / "timed")
        seconds = time.perf_counter() - started
        task = Task(
            Path(folder),
            bag,
            arguments.preset,
            arguments.batch,
            arguments.workers,
            arguments.steps,
            arguments.threads,
        )
        print(f"torch {torch.__version__}, {task.threads} threads, {platform.machine()}")
        print(f"{task.preset}: {config.encoder}, {prepared.num_cameras} cameras of ", end="")
        print(f"{config.image_size}, grid {config.grid.shape}, {len(config.heights_m)} heights, ")
        print(f"batches of {task.batch}, {task.workers} loader processes")
        print(f"  preparing, once for a training: {len(prepared) / seconds:.1f} samples/s")
        measure_loading(task, arguments.loading_seconds)
        measure(arguments.programs, task, arguments.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
