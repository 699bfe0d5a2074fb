# SPDX-License-Identifier: Apache-2.0
"""``bev simulate``: labelled bags of drives through procedural towns."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from bev_perception.cli.parser import (
    Arguments,
    Command,
    Parser,
    add_output_arguments,
    add_rig_argument,
    require,
)
from bev_perception.errors import ConfigurationError

MAX_TOWNS = 100_000
"""In one range."""

MOST_TRAFFIC = 10.0
"""Streets are full before."""

_NEW_SETTINGS = {"imu": False, "traffic": 1.0}
"""What earlier versions, which do not tell these, recorded."""

_RANGE = re.compile(r"(\d+)(?:\.\.(\d+))?")


def town_seeds(text: str) -> list[int]:
    """Seeds of ``7``, ``7..12`` (both included) or ``7,9,20..25``.

    Raises:
        ConfigurationError: the text is none of these.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        first = int(match[1]) if match else 0
        last = int(match[2] or match[1]) if match else -1
        if last < first:
            raise ConfigurationError(
                f"--town {text!r}: {part.strip()!r} is no seed or range; write for example 7, "
                f"7..12 or 7,9,20..25"
            )
        if last - first >= MAX_TOWNS:
            raise ConfigurationError(
                f"--town {text!r}: {last - first + 1} towns are too many, at most {MAX_TOWNS}"
            )
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))


def bag_name(seed: int) -> str:
    """Folder of a town's bag."""
    return f"town_{seed:05d}"


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--town", type=str, required=True, metavar="SEEDS", help="7, 7..12 or 7,9,20..25"
    )
    parser.add_argument("--sets", type=int, default=80, metavar="N", help="camera sets per town")
    parser.add_argument("--rate-hz", type=float, default=10.0, help="camera sets per second")
    add_rig_argument(parser, "cameras of the vehicle; default the shipped rig of four")
    parser.add_argument(
        "--vary-rig",
        type=int,
        default=None,
        metavar="SEED",
        help="give each town a rig drawn around the given one: height +-0.2 m, position +-0.2 m, "
        "pitch +-3, yaw +-5, roll +-1 degrees, focal length +-10 %",
    )
    parser.add_argument(
        "--traffic",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="times as many vehicles drive as in a town otherwise, as far as there is room: 2.5 "
        "for networks that learn velocities",
    )
    parser.add_argument(
        "--jpeg-quality", type=int, default=92, metavar="Q", help="1 to 100, or 0 for raw images"
    )
    parser.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="kind of bag"
    )
    parser.add_argument("--lidar", action="store_true", help="also record LiDAR points")
    parser.add_argument(
        "--imu", action="store_true", help="also record an IMU; needs 5 sets per second or more"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="towns at a time")
    add_output_arguments(parser)


def _run(arguments: Arguments) -> None:
    from tqdm import tqdm

    from bev_perception.cli.output_directory import missing_folders, remove_empty
    from bev_perception.cli.town_recording import TownJob, record_towns

    seeds = town_seeds(arguments.town)
    settings = _checked_settings(arguments)
    out = Path(arguments.out)
    created = missing_folders(out)
    _prepare_folder(out, settings, arguments.overwrite, seeds)
    jobs = [
        TownJob(seed=seed, path=out / bag_name(seed), rig_file=Path(settings["rig"]),
                num_sets=settings["sets"], rate_hz=settings["rate_hz"],
                jpeg_quality=settings["jpeg_quality"] or None, storage=settings["storage"],
                lidar=settings["lidar"], vary_rig=settings["vary_rig"], imu=settings["imu"],
                busier=settings["traffic"])
        for seed in seeds
        if not (out / bag_name(seed)).exists()
    ]  # fmt: skip
    skipped = len(seeds) - len(jobs)
    if skipped:
        print(f"{skipped} of {len(seeds)} towns are there already")
    try:
        total = sum(job.num_sets for job in jobs)
        with tqdm(total=total, desc="simulate", unit="set", dynamic_ncols=True) as bar:
            record_towns(jobs, arguments.jobs, bar.update)
    except BaseException:
        _remove_if_nothing_finished(out)
        remove_empty(created)
        raise
    print(f"{len(jobs)} {'bag' if len(jobs) == 1 else 'bags'} in {out}")


def _checked_settings(arguments: Arguments) -> dict[str, Any]:
    """What the bags depend on; refuses impossible values before anything is written."""
    from bev_perception.geometry.rig_file import load_rig
    from bev_perception.resources import config_path
    from bev_perception.simulation.renderable import check_renderable

    require(arguments.sets >= 1, f"--sets must be at least 1, got {arguments.sets}")
    require(arguments.jobs >= 1, f"--jobs must be at least 1, got {arguments.jobs}")
    require(
        arguments.vary_rig is None or arguments.vary_rig >= 0,
        f"--vary-rig must not be negative, got {arguments.vary_rig}",
    )
    require(
        0.0 < arguments.traffic <= MOST_TRAFFIC,
        f"--traffic must be above 0 and at most {MOST_TRAFFIC:g}, got {arguments.traffic:g}",
    )
    require(
        0.1 <= arguments.rate_hz <= 100.0,
        f"--rate-hz must lie between 0.1 and 100, got {arguments.rate_hz:g}",
    )
    require(
        not arguments.imu or (arguments.rate_hz >= 5.0 and arguments.sets >= 4),
        f"--imu needs at least 4 sets and 5 sets per second, to know the motion between them, got "
        f"{arguments.sets} at {arguments.rate_hz:g} Hz",
    )
    require(
        0 <= arguments.jpeg_quality <= 100,
        f"--jpeg-quality must lie between 1 and 100, or be 0 for raw, got {arguments.jpeg_quality}",
    )
    rig = Path(arguments.rig) if arguments.rig else config_path("rigs/default.yaml")
    check_renderable(load_rig(rig), rig)
    names = ("sets", "rate_hz", "jpeg_quality", "storage", "lidar", "vary_rig", "imu", "traffic")
    digest = hashlib.sha256(rig.read_bytes()).hexdigest()
    chosen = {name: arguments[name] for name in names}
    return {"rig": str(rig.resolve()), "rig_sha256": digest, **chosen}


def _prepare_folder(out: Path, settings: dict[str, Any], overwrite: bool, seeds: list[int]) -> None:
    """Makes the folder, or checks that its bags were made with the same settings."""
    from bev_perception.cli.output_directory import (
        check_free,
        read_run_file,
        write_run_file,
        writing_to,
    )

    with writing_to(out):
        if out.is_dir() and any(out.iterdir()):
            check_free(out, True, "simulate")
            replaced = [out / bag_name(seed) for seed in seeds] if overwrite else []
            kept = [bag for bag in out.glob("town_*") if bag not in replaced]
            difference = _difference(read_run_file(out).get("settings") or {}, settings)
            if kept and difference:
                raise ConfigurationError(
                    f"--out {out} holds {len(kept)} bags of other settings ({difference}); choose "
                    f"another folder, or give --overwrite with all its towns"
                )
            for bag in replaced:
                shutil.rmtree(bag, ignore_errors=True)
        else:
            check_free(out, overwrite)
        out.mkdir(parents=True, exist_ok=True)
        write_run_file(out, "simulate", {"settings": settings})


def _difference(earlier: dict[str, Any], settings: dict[str, Any]) -> str:
    """What differs, in words; a rig file counts by its content where that is known."""
    compared = dict(settings)
    compared.pop("rig" if "rig_sha256" in earlier else "rig_sha256")
    return ", ".join(
        f"{name} {earlier.get(name)} there, {value} now"
        for name, value in compared.items()
        if earlier.get(name, _NEW_SETTINGS.get(name)) != value
    )


def _remove_if_nothing_finished(out: Path) -> None:
    from bev_perception.cli.output_directory import RUN_FILE

    if [entry.name for entry in out.iterdir()] == [RUN_FILE]:
        (out / RUN_FILE).unlink()


COMMAND = Command(
    name="simulate",
    summary="labelled bags of drives through procedural towns",
    description="Drives through simulated towns and records what the cameras see, with "
    "calibration, ego pose and labels, one bag per town: DIR/town_00012. The same seed gives "
    "the same town. Seeds 0 to 9999 are for training, 10000 to 10999 for validation, 11000 to "
    "11999 for tests. Started again, it goes on with the towns that are missing.",
    examples=(
        ("one drive of eight seconds", "bev simulate --town 12 --out out/towns"),
        (
            "training data, two towns at a time",
            "bev simulate --town 0..199 --sets 25 --rate-hz 2 --jobs 2 --out out/train_towns",
        ),
        (
            "every town with another mounting of the cameras, to train for many vehicles",
            "bev simulate --town 0..199 --vary-rig 1 --sets 25 --rate-hz 2 --out out/varied_towns",
        ),
        (
            "busy streets, two sets per second, to learn velocities from",
            "bev simulate --town 0..79 --sets 24 --rate-hz 2 --traffic 2.5 --out out/busy",
        ),
        (
            "own cameras, raw images, LiDAR",
            "bev simulate --town 11000 --rig car.yaml --jpeg-quality 0 --lidar --out out/towns",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
