# SPDX-License-Identifier: Apache-2.0
"""``bev extract``: from bags to a data set of shards, judged before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bev_perception.cli.parser import Arguments, Command, Parser, add_rig_argument, require


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "bags", type=str, nargs="+", metavar="BAG", help="labelled bags, or folders of bags"
    )
    parser.add_argument(
        "--out",
        type=str,
        metavar="DIR",
        required=True,
        help="folder of the data set; started again with the same bags, it goes on",
    )
    add_rig_argument(parser, "names topics, frames or calibrations that the bags do not tell")
    parser.add_argument(
        "--raw-format",
        choices=("jpeg", "png"),
        default="jpeg",
        help="what raw images become; JPEG and PNG of a bag are passed through untouched",
    )
    parser.add_argument("--jpeg-quality", type=int, default=95, help="of images that were raw")
    parser.add_argument(
        "--min-distance-m",
        type=float,
        default=0.2,
        metavar="M",
        help="keep a set once the vehicle has driven so far since the last one; 0 keeps all",
    )
    parser.add_argument(
        "--standing-interval-s",
        type=float,
        default=5.0,
        metavar="S",
        help="while it has not, keep one set every S seconds, because others move; 0 keeps none",
    )
    parser.add_argument(
        "--min-cameras", type=int, default=None, metavar="N",
        help="cut out sets with fewer usable images; default: all cameras",
    )  # fmt: skip
    parser.add_argument(
        "--sync-tolerance-ms", type=float, default=50.0, metavar="MS",
        help="largest difference of stamps within a set",
    )  # fmt: skip
    parser.add_argument(
        "--shard-mb", type=float, default=256.0, metavar="MB", help="size of a shard"
    )
    parser.add_argument(
        "--max-points", type=int, default=200_000, metavar="N",
        help="of LiDAR and radar beside each set; larger clouds are thinned, 0 leaves all out",
    )  # fmt: skip
    parser.add_argument(
        "--split", type=str, default="train=0.8,validation=0.1,test=0.1",
        help="shares of the drives; a drive is never divided",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the draw of drives to splits")
    parser.add_argument("--licence", type=str, default="", help="of the data, for its card")
    parser.add_argument("--jobs", type=int, default=2, metavar="J", help="bags at a time")
    parser.add_argument(
        "--ray", action="store_true", help="one Ray task per bag instead of processes here"
    )


def _run(arguments: Arguments) -> None:
    from tqdm import tqdm

    from bev_perception.cli.drive_facts import drive_facts
    from bev_perception.datasets.drive_splits import parse_shares
    from bev_perception.datasets.drives import find_bags
    from bev_perception.datasets.extraction import DataSetPlan, extract_bags
    from bev_perception.datasets.shard_settings import ShardSettings

    require(arguments.jobs >= 1, f"--jobs must be at least 1, got {arguments.jobs}")
    settings = ShardSettings(
        raw_format=arguments.raw_format,
        jpeg_quality=arguments.jpeg_quality,
        min_distance_m=arguments.min_distance_m,
        standing_interval_s=arguments.standing_interval_s,
        min_cameras=arguments.min_cameras,
        sync_tolerance_ms=arguments.sync_tolerance_ms,
        shard_mb=arguments.shard_mb,
        max_points=arguments.max_points,
        rig_file=Path(arguments.rig) if arguments.rig else None,
    )
    plan = DataSetPlan(
        out=Path(arguments.out),
        settings=settings,
        shares=parse_shares(arguments.split),
        seed=arguments.seed,
        licence=arguments.licence,
        processes=arguments.jobs,
        use_ray=arguments.ray,
    )
    bags = find_bags([Path(bag) for bag in arguments.bags])
    with tqdm(total=len(bags), desc="extract", unit="drive", dynamic_ncols=True) as bar:
        manifest = extract_bags(bags, plan, drive_facts, lambda name: bar.update())
    print(summary(manifest, plan.out))


def summary(manifest: dict[str, Any], out: Path) -> str:
    """A line for every drive that was refused or cut, and one for all."""
    lines = []
    for drive in manifest["drives"]:
        if drive["reason"]:
            lines.append(f"{drive['name']}: {drive['verdict']}: {drive['reason']}")
    kept = [drive for drive in manifest["drives"] if drive["sets"]]
    splits = ", ".join(f"{name} {len(names)}" for name, names in manifest["splits"].items())
    lines += [
        f"{sum(drive['sets'] for drive in kept)} sets of {len(kept)} drives "
        f"({len(manifest['drives']) - len(kept)} refused), "
        f"{sum(drive['bytes'] for drive in kept) / 1e6:.1f} MB; drives by split: {splits}",
        f"report: {out / 'report.html'}",
        f"card:   {out / 'card.md'}",
    ]
    return "\n".join(lines)


COMMAND = Command(
    name="extract",
    summary="from labelled bags to a data set of shards, judged first",
    description="Judges labelled bags and writes what is fit as WebDataset shards: images "
    "(JPEG untouched), points, rig, ego poses and boxes, with manifest.json, a data set card and "
    "report.html with a verdict and a picture of every drive. Bad spans are cut out and "
    "listed. Drives are drawn to splits whole. Started again, it goes on with what is "
    "missing. bev train and bev evaluate read the result as DIR or DIR:split.",
    examples=(
        ("recorded drives", "bev extract drives/ --out out/dataset --licence CC-BY-4.0"),
        (
            "training on the result, watched on its validation split",
            "bev train out/dataset:train --config config/recipes/tiny.yaml "
            "--data.validation '[out/dataset:validation]' --out out/train",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
