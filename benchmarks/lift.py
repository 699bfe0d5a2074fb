# SPDX-License-Identifier: Apache-2.0
"""Times the lift, its table and a training step; ratios are of one run.

Run from the checkout: ``python benchmarks/lift.py --help``.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch.nn import functional

from bev_perception.geometry import BevGrid, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.model import Segnet, SegnetConfig, TapTable, build_tap_table, lift, preset
from bev_perception.model.lift_reference import reference_lift


def ring(config: SegnetConfig, cameras: int) -> Rig:
    """Cameras of 100 degrees that look outwards, 1.6 m up and 3 degrees down."""
    height, width = config.image_size
    camera = PinholeCamera.from_field_of_view(width, height, 100.0)
    mounts = [
        RigidTransform.from_euler(0.0, 0.05, 2 * torch.pi * index / cameras, (0.0, 0.0, 1.6))
        for index in range(cameras)
    ]
    return Rig(
        {
            f"camera{index}": RigCamera(camera, base_T_body @ BODY_T_OPTICAL)
            for index, base_T_body in enumerate(mounts)
        }
    )


def median_ms(function: Callable[[], object], repetitions: int) -> float:
    """Median duration after two calls to warm up."""
    durations = []
    for index in range(repetitions + 2):
        start = time.perf_counter()
        function()
        if index >= 2:
            durations.append(time.perf_counter() - start)
    return 1e3 * sorted(durations)[len(durations) // 2]


def lift_rows(config: SegnetConfig, cameras: int, repetitions: int) -> list[tuple[str, float]]:
    """(what, milliseconds) of the lift alone; the first row is the baseline."""
    rig = ring(config, cameras)
    taps = build_tap_table(rig, config, backward=True)
    maps = torch.randn(1, cameras, config.latent_dim, *config.feature_shape)
    maps = maps.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (1, -1))
    half = maps.bfloat16()

    def with_gradient(features: torch.Tensor) -> None:
        leaf = features.detach().requires_grad_()
        lift(leaf, taps).backward(torch.ones((), dtype=leaf.dtype).expand(bev_shape))

    bev_shape = lift(maps, taps).shape
    with torch.no_grad():
        rows = [
            ("projection and grid_sample per camera", lambda: reference_lift(maps[0], rig, config)),
            ("table, fp32", lambda: lift(maps, taps)),
            ("table, bf16", lambda: lift(half, taps)),
            ("building the table", lambda: build_tap_table(rig, config)),
            ("transposing the table", taps.without_backward().with_backward),
        ]
        times = [(name, median_ms(function, repetitions)) for name, function in rows]
    times.append(
        ("table with gradient, fp32", median_ms(partial(with_gradient, maps), repetitions))
    )
    times.append(
        ("table with gradient, bf16", median_ms(partial(with_gradient, half), repetitions))
    )
    return times


def training_rate(config: SegnetConfig, cameras: int, batch: int, steps: int) -> float:
    """Samples per second of forward, backward and AdamW in bf16 autocast."""
    model = Segnet(config).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    table = build_tap_table(ring(config, cameras), config, backward=True)
    taps = TapTable.batch([table] * batch)
    images = torch.randint(0, 256, (batch, cameras, *config.image_size, 3), dtype=torch.uint8)
    truth = torch.rand(batch, 1, *config.grid.shape).round()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            output = model(images.permute(0, 1, 4, 2, 3), taps, with_feature=False)
        loss = functional.binary_cross_entropy_with_logits(output.segmentation, truth)
        loss = loss + (output.center - truth).square().mean() + output.offset.abs().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return batch / (median_ms(step, steps) / 1e3)


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="tiny", help="a preset: tiny, base, seed, nuscenes")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--train", action="store_true", help="also time training steps")
    arguments = parser.parse_args()
    config = preset(arguments.preset)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}")
    print(f"{arguments.preset}: {arguments.cameras} cameras {config.image_size}, ", end="")
    print(
        f"grid {config.grid.shape}, {len(config.heights_m)} heights, {config.latent_dim} channels"
    )
    times = lift_rows(config, arguments.cameras, arguments.repetitions)
    for name, milliseconds in times:
        ratio = times[0][1] / milliseconds
        print(f"  {name:40s} {milliseconds:9.2f} ms {ratio:8.1f}x")
    if arguments.train:
        grids = {
            "+-50 m, 0.5 m": BevGrid.centered(50.0, 0.5),
            "+-25.6 m, 0.4 m": BevGrid.centered(25.6, 0.4),
        }
        for size in ((224, 336), config.image_size):
            for name, grid in grids.items():
                variant = replace(config, image_size=size, grid=grid)
                rate = training_rate(
                    variant, arguments.cameras, arguments.batch, arguments.repetitions
                )
                print(f"  training {size[0]}x{size[1]}, {name:16s} {rate:9.2f} samples/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
