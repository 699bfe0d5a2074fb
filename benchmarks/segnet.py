# SPDX-License-Identifier: Apache-2.0
"""Segnet against its straightforward formulation, with the same weights and the same answers.

    python benchmarks/segnet.py [--preset seed] [--cameras 4] [--repetitions 3]
        [--engines cpu:fp32 cpu:bf16] [--with-feature-head]

The straightforward formulation is the published one: channels first, batch norms as they are,
every voxel sampled from every camera by a 5D grid_sample, and a masked mean over the cameras.
The published network also computes a feature head that no task reads; engines leave it out, and
so does the baseline unless --with-feature-head says otherwise.
Each program runs in a process of its own, so that its peak memory is its own; they run in turns,
and ratios are of medians. Images are in host memory before and grids in host memory after. The
processor time of all threads is printed beside, as it says the same on a busy machine.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from lift import ring
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.geometry import Rig
from bev_perception.inference import RawOutput, load_engine
from bev_perception.model import Segnet, SegnetConfig, build_tap_table, preset, save_weights
from bev_perception.model.norm import EPSILON, InstanceNorm
from bev_perception.model.segnet import normalised

STRAIGHTFORWARD = "straightforward"
Program = Callable[[NDArray[np.uint8]], RawOutput]


@dataclass(frozen=True)
class Task:
    """What every process makes for itself, alike in all."""

    preset: str
    cameras: int
    threads: int
    device: str
    with_feature: bool

    def model(self) -> Segnet:
        """Random weights, batch norms with statistics of their own."""
        torch.manual_seed(0)
        model = Segnet(preset(self.preset)).eval().requires_grad_(False)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.8, 1.2)
        return model

    def images(self) -> NDArray[np.uint8]:
        """Noise."""
        shape = (self.cameras, *preset(self.preset).image_size, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


class StraightforwardSegnet:
    """The published formulation on our weights; differs where ours is better in nothing else.

    Sampling positions are ours, as the published ones would give other answers.
    """

    def __init__(self, model: Segnet, rig: Rig, device: str, with_feature: bool) -> None:
        self.model = copy.deepcopy(model)
        use_library_norms(self.model)
        self.model.to(device)
        positions, self.valid = sampling_positions(model.config, rig)
        self.positions = positions.to(device)
        self.valid = self.valid.to(device)
        self.device = device
        self.with_feature = with_feature

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> RawOutput:
        """See Engine.infer."""
        tensor = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).contiguous()
        features = self.model.encoder(normalised(tensor))  # (S, C, h, w)
        sampled = functional.grid_sample(
            features[:, :, None], self.positions, padding_mode="border", align_corners=False
        )
        volumes = sampled * self.valid  # (S, C, Z, Y, X)
        del sampled
        mask = (volumes.abs() > 0).float()  # a camera sees what it has a feature for
        mean = (volumes * mask).sum(dim=0) / (mask.sum(dim=0) + 1e-6)
        del volumes, mask
        stacked = mean.permute(1, 0, 2, 3).flatten(0, 1)[None]  # (1, Z * C, Y, X)
        output = self.model.decode(self.model.compressor(stacked), self.with_feature)
        return RawOutput(
            output.segmentation[0, 0].sigmoid().cpu().numpy(),
            output.center[0, 0].cpu().numpy(),
            output.offset[0].cpu().numpy(),
        )


def sampling_positions(config: SegnetConfig, rig: Rig) -> tuple[Tensor, Tensor]:
    """grid_sample's positions (S, Z, Y, X, 3) and which are seen (S, 1, Z, Y, X)."""
    height, width = config.image_size
    rows, columns = config.grid.shape
    points = np.empty((len(config.heights_m), rows, columns, 3))
    points[..., :2] = config.grid.cell_centers
    points[..., 2] = np.array(config.heights_m)[:, None, None]
    positions, valid = [], []
    for name in rig.names:
        pixels, in_front = rig[name].project(points)
        seen = in_front & rig[name].camera.contains(pixels)
        edges = [(2 * pixels[..., 0] + 1) / width - 1, (2 * pixels[..., 1] + 1) / height - 1]
        edges.append(np.zeros_like(edges[0]))
        positions.append(np.nan_to_num(np.stack(edges, axis=-1), nan=-2.0).astype(np.float32))
        valid.append(seen.astype(np.float32)[None])
    return torch.from_numpy(np.stack(positions)), torch.from_numpy(np.stack(valid))


class _LibraryNorm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.instance_norm(x, eps=EPSILON)


def use_library_norms(network: nn.Module) -> None:
    """Replaces our norms by the library's, in place."""
    for name, child in network.named_children():
        if isinstance(child, InstanceNorm):
            setattr(network, name, _LibraryNorm())
        else:
            use_library_norms(child)


def make_program(name: str, task: Task) -> Program:
    """The straightforward formulation, or an engine named backend:precision."""
    model = task.model()
    rig = ring(model.config, task.cameras)
    if name == STRAIGHTFORWARD:
        device = "cuda" if task.device == "cuda" else "cpu"
        return StraightforwardSegnet(model, rig, device, task.with_feature)
    backend, _, precision = name.partition(":")
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "random.safetensors"
        save_weights(weights, model, {})
        del model
        engine = load_engine(weights, task.device, precision, backend)
    taps = build_tap_table(rig, engine.config)
    return lambda images: engine.infer(images, taps)


def serve(name: str, task: Task, connection: Connection) -> None:
    """A process with one program: runs it once for every request."""
    torch.set_num_threads(task.threads)
    program, images = make_program(name, task), task.images()
    first = program(images)
    connection.send(first)
    while connection.recv():
        started, worked = time.perf_counter(), time.process_time()
        program(images)
        connection.send((time.perf_counter() - started, time.process_time() - worked))
    connection.send(peak_gib(task.device))


def peak_gib(device: str) -> float:
    """Peak memory of this process, or of its CUDA device where it runs on one."""
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        return (total - free) / 2**30
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 2**20


def measure(names: list[str], task: Task, repetitions: int) -> None:
    """Prints the table."""
    context = multiprocessing.get_context("spawn")
    ends, answers, processes = {}, {}, []
    for name in names:
        ends[name], there = context.Pipe()
        process = context.Process(target=serve, args=(name, task, there), daemon=True)
        process.start()
        processes.append(process)
        answers[name] = ends[name].recv()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(repetitions):
        for name in names:
            ends[name].send(True)
            times[name].append(ends[name].recv())
    peaks = {}
    for name in names:
        ends[name].send(False)
        peaks[name] = ends[name].recv()
    for process in processes:
        process.join()
    print(f"  {'program':16s} {'ms':>9s} {'ratio':>7s} {'CPU s':>7s} {'ratio':>7s}", end="")
    print(f" {'peak GiB':>9s} {'share':>6s} {'largest difference':>19s}")
    base, base_work = np.median(times[names[0]], axis=0)
    for name in names:
        taken, work = np.median(times[name], axis=0)
        difference = np.abs(answers[name].probability - answers[names[0]].probability).max()
        print(
            f"  {name:16s} {1e3 * taken:9.1f} {base / taken:6.2f}x {work:7.2f} "
            f"{base_work / work:6.2f}x {peaks[name]:9.2f} {peaks[name] / peaks[names[0]]:6.2f} "
            f"{difference:19.1e}"
        )


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="seed", help="a preset: tiny, base, seed, nuscenes")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--engines", nargs="+", default=None, metavar="BACKEND:PRECISION")
    parser.add_argument("--with-feature-head", action="store_true", help="in the baseline, too")
    arguments = parser.parse_args()
    engines = arguments.engines or [f"{arguments.device}:fp32", f"{arguments.device}:bf16"]
    task = Task(
        arguments.preset,
        arguments.cameras,
        arguments.threads,
        arguments.device,
        arguments.with_feature_head,
    )
    config = preset(arguments.preset)
    print(f"torch {torch.__version__}, {task.threads} threads, {platform.machine()}")
    print(
        f"{arguments.preset}: {config.encoder}, {task.cameras} cameras {config.image_size}, ",
        end="",
    )
    print(f"grid {config.grid.shape}, {len(config.heights_m)} heights")
    measure([STRAIGHTFORWARD, *engines], task, arguments.repetitions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
