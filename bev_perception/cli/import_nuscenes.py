# SPDX-License-Identifier: Apache-2.0
"""``bev import-nuscenes``: nuScenes into the shards that training and evaluation read."""

from __future__ import annotations

from pathlib import Path

from bev_perception.cli.parser import Arguments, Command, Parser, require


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("root", type=str, metavar="ROOT", help="folder of nuScenes")
    parser.add_argument(
        "--version", type=str, default="v1.0-mini", help="folder of the tables below ROOT"
    )
    parser.add_argument("--out", type=str, metavar="DIR", required=True, help="folder to make")
    parser.add_argument(
        "--mountings",
        choices=("corrected", "kept"),
        default="corrected",
        help="corrected: where each camera was at its own time, seen from the keyframe; kept: as "
        "calibrated, which published results use",
    )
    parser.add_argument(
        "--sweeps", action="store_true", help="also moments between keyframes, boxes interpolated"
    )
    parser.add_argument(
        "--shard-mb", type=float, default=256.0, metavar="MB", help="size of a shard"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="J", help="scenes at a time")


def _run(arguments: Arguments) -> None:
    from tqdm import tqdm

    from bev_perception.cli.extract import summary
    from bev_perception.datasets.nuscenes_import import NuScenesPlan, import_nuscenes

    require(arguments.jobs >= 1, f"--jobs must be at least 1, got {arguments.jobs}")
    require(
        arguments.shard_mb > 0, f"--shard-mb must be a positive size, got {arguments.shard_mb:g}"
    )
    plan = NuScenesPlan(
        root=Path(arguments.root),
        version=arguments.version,
        out=Path(arguments.out),
        mountings=arguments.mountings,
        sweeps=arguments.sweeps,
        shard_mb=arguments.shard_mb,
        processes=arguments.jobs,
    )
    with tqdm(desc="import", unit="scene", dynamic_ncols=True) as bar:
        manifest = import_nuscenes(plan, lambda name: bar.update())
    print(summary(manifest, plan.out))


COMMAND = Command(
    name="import-nuscenes",
    summary="nuScenes into the same shards as bags",
    description="Reads the official tables of nuScenes and writes one drive per scene: six "
    "cameras, ego pose and boxes at every keyframe, split as published. The images stay as "
    "they are. Started again, it goes on with the scenes that are missing.",
    examples=(
        (
            "the mini part",
            "bev import-nuscenes /data/nuscenes --version v1.0-mini --out out/nuscenes_mini",
        ),
        (
            "judging weights on the published validation scenes",
            "bev evaluate out/nuscenes:validation --out out/scores",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
