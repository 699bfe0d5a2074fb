# SPDX-License-Identifier: Apache-2.0
"""What memory costs: alignment and fusion per set, and the whole network with and without it.

    python benchmarks/memory.py [--preset tiny] [--device cpu] [--precision fp32] [--rounds 20]

The networks have random weights and see noise, from a vehicle that drives a bend at 10 m/s with
a set every 0.5 s, so that the queue is full. Networks take turns set by set, so that a busy
machine slows all of them; ratios are medians of the ratios within a turn.
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from bev_perception.geometry import PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.planar import EgoMoment, PlanarPose
from bev_perception.inference import TorchEngine, infer
from bev_perception.model import Segnet, build_tap_table, preset
from bev_perception.model.feature_memory import FeatureMemory, MemoryStep
from bev_perception.model.memory_config import MEMORIES, MemoryConfig

CAMERAS = 4
WARM_UP = 5
PERIOD_NS = 500_000_000
SPEED, TURN = 5.0, 0.1
"""Metres and radians per set."""

NEAR = "gru, 25 m"
VARIANTS = {kind: MemoryConfig(kind) for kind in MEMORIES} | {NEAR: MemoryConfig("gru", reach_m=25)}
"""By name; the last one computes half of what a grid of 50 m is wide."""


def main() -> None:
    """Prints one line per kind of memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    runs = {name: whole(memory, options) for name, memory in VARIANTS.items()}
    parts = {name: fusion(memory, options) for name, memory in VARIANTS.items() if memory.is_on}
    times: dict[str, list[float]] = {kind: [] for kind in runs}
    fused: dict[str, list[float]] = {kind: [] for kind in parts}
    for index in range(WARM_UP + options.rounds):
        for functions, durations in ((runs, times), (parts, fused)):
            for kind, function in functions.items():
                duration = milliseconds(lambda run=function, at=index: run(at), options.device)
                durations[kind] += [duration] if index >= WARM_UP else []
    report(options, times, fused)


def report(
    options: argparse.Namespace, times: dict[str, list[float]], fused: dict[str, list[float]]
) -> None:
    """The table."""
    config = preset(options.preset)
    where = platform.processor() or platform.machine()
    if options.device != "cpu":
        where = torch.cuda.get_device_name(options.device)
    print(
        f"{options.preset}: {CAMERAS} cameras of {config.image_size}, {config.grid.shape} cells of "
        f"{config.latent_dim} channels, {options.precision}; torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, {where}; medians of {options.rounds} sets"
    )
    print(f"{'memory':9} {'parameters':>10} {'fusion ms':>10} {'network ms':>11} {'ratio':>6}")
    for kind, durations in times.items():
        model = Segnet(replace(config, memory=VARIANTS[kind]))
        count = sum(parameter.numel() for parameter in model.parameters())
        ratio = float(np.median(np.array(durations) / np.array(times["none"])))
        own = f"{np.median(fused[kind]):.1f}" if kind in fused else "-"
        print(f"{kind:9} {count:10,} {own:>10} {np.median(durations):11.1f} {ratio:6.2f}")


def whole(memory_config: MemoryConfig, options: argparse.Namespace) -> Callable[[int], object]:
    """One set through the engine that users run."""
    config = replace(preset(options.preset), memory=memory_config)
    torch.manual_seed(0)
    model = Segnet(config)
    engine = TorchEngine(model, options.device, options.precision, resize="host")
    taps = build_tap_table(rig(config.image_size), config)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (CAMERAS, *config.image_size, 3), dtype=np.uint8)
    memory = FeatureMemory(config.memory) if config.memory.is_on else None

    def run(index: int) -> object:
        step = None if memory is None else MemoryStep([memory], [moment(index)])
        return infer(engine, images, taps, memory=step)

    return run


def fusion(memory_config: MemoryConfig, options: argparse.Namespace) -> Callable[[int], object]:
    """Alignment and fusion alone, of one BEV feature."""
    config = replace(preset(options.preset), memory=memory_config)
    engine = TorchEngine(Segnet(config), options.device, options.precision, resize="host")
    network = engine._network
    plane = torch.randn(1, config.latent_dim, *config.grid.shape).to(engine.device, network.dtype)
    plane = plane.contiguous(memory_format=torch.channels_last)
    seen = torch.ones(config.grid.shape, dtype=torch.bool, device=engine.device)
    memory = FeatureMemory(config.memory)

    @torch.inference_mode()
    def run(index: int) -> object:
        return network.remember(plane.clone(), seen, MemoryStep([memory], [moment(index)]))

    return run


def moment(index: int) -> EgoMoment:
    """On a circle."""
    radius, angle = SPEED / TURN, TURN * index
    place = PlanarPose(radius * math.sin(angle), radius * (1.0 - math.cos(angle)), angle)
    return EgoMoment(index * PERIOD_NS, place)


def milliseconds(run: Callable[[], object], device: str) -> float:
    """Duration of one call, until the device is done."""
    began = time.perf_counter()
    run()
    if device != "cpu":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - began) * 1e3


def rig(image_size: tuple[int, int]) -> Rig:
    """Four cameras that look all around."""
    camera = PinholeCamera.from_field_of_view(image_size[1], image_size[0], 100.0)
    return Rig(
        {
            f"camera{number}": RigCamera(
                camera,
                RigidTransform.from_euler(yaw=math.tau * number / CAMERAS, translation=(0, 0, 1.6))
                @ BODY_T_OPTICAL,
            )
            for number in range(CAMERAS)
        }
    )


if __name__ == "__main__":
    main()
