# SPDX-License-Identifier: Apache-2.0
"""``bev carla record``: balanced labelled bags from a CARLA server, unattended."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bev_perception.cli.carla_schedule import (
    DENSITIES,
    WEATHERS,
    ScheduledDrive,
    schedule,
    traffic_of,
)
from bev_perception.cli.drive_bar import DriveBar
from bev_perception.cli.parser import Arguments, Parser, add_rig_argument, require
from bev_perception.errors import CarlaError, ConfigurationError
from bev_perception.untrusted import parse_json

if TYPE_CHECKING:
    from bev_perception.cli.carla_drives import DriveResult, RecordingSettings

COMMAND_NAME = "carla record"
SCHEDULE_FILE, RESULTS_FILE = "schedule.json", "drives.json"
MAY_CHANGE = ("hours", "rig", "host", "port", "tm_port")
"""Settings in which a continued recording may differ from its beginning."""


def add_record_arguments(parser: Parser) -> None:
    """Of ``bev carla record``."""
    parser.add_argument(
        "--towns", type=str, required=True, metavar="NAMES", help="for example Town01,Town03"
    )
    parser.add_argument("--hours", type=float, required=True, help="of simulated driving in all")
    parser.add_argument(
        "--drive-minutes", type=float, default=2.0, metavar="M", help="of one drive, one bag"
    )
    parser.add_argument("--rate-hz", type=float, default=2.0, help="camera sets per second")
    parser.add_argument(
        "--weathers",
        type=str,
        default=",".join(WEATHERS),
        metavar="NAMES",
        help="CARLA's presets, used in equal shares",
    )
    parser.add_argument(
        "--traffic",
        type=str,
        default=",".join(DENSITIES),
        metavar="NAMES",
        help=f"{', '.join(DENSITIES)}, or vehicles/walkers as 80/30; used in equal shares",
    )
    parser.add_argument("--validation-share", type=float, default=0.1, help="of the drives")
    parser.add_argument("--test-share", type=float, default=0.1, help="of the drives")
    parser.add_argument("--seed", type=int, default=0, help="of the schedule and the drives")
    add_rig_argument(parser, "cameras of the vehicle; default the shipped rig of four")
    parser.add_argument(
        "--ego", type=str, default="vehicle.tesla.model3", metavar="BLUEPRINT", help="ego vehicle"
    )
    parser.add_argument(
        "--no-visibility",
        action="store_true",
        help="no depth cameras, which tell how much of an object is seen and cost as much again",
    )
    parser.add_argument(
        "--jpeg-quality", type=int, default=92, metavar="Q", help="1 to 100, or 0 for raw images"
    )
    parser.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="kind of bag"
    )
    parser.add_argument(
        "--keep-standing-s", type=float, default=5.0, help="of a halt, the sets that are kept"
    )
    parser.add_argument(
        "--stuck-s", type=float, default=60.0, help="a longer halt ends the drive early"
    )
    parser.add_argument(
        "--reconnect-minutes", type=float, default=10.0, help="to wait for a server that is gone"
    )
    parser.add_argument("--host", type=str, default="localhost", help="of the server")
    parser.add_argument("--port", type=int, default=2000, help="of the server")
    parser.add_argument("--tm-port", type=int, default=8000, help="of the traffic manager")
    parser.add_argument("--timeout-s", type=float, default=20.0, help="of one call, tick or image")
    parser.add_argument(
        "--out",
        type=str,
        required=True,
        metavar="DIR",
        help="folder for the bags, below train, validation and test; started again with the same "
        "settings, the command goes on there",
    )


def run_record(arguments: Arguments) -> None:
    """Records what of the schedule is missing.

    Raises:
        CarlaError: the server is gone for good, refuses something, or some drives failed.
        ConfigurationError: a value cannot be used, or the folder holds a recording of others.
    """
    values = _values(arguments)
    drives = _schedule(values)
    settings = _recording_settings(values)
    from bev_perception.cli.carla_drives import check_server, record_drives

    out = Path(arguments.out)
    _check_weathers(values["weathers"])
    missing = [drive for drive in drives if not (out / drive.bag).exists()]
    if missing:
        check_server(settings.carla, values["towns"])
    results = _prepare_folder(out, values, drives)
    if len(missing) < len(drives):
        print(f"{len(drives) - len(missing)} of {len(drives)} drives are there already")

    def keep(drive: ScheduledDrive, result: DriveResult) -> None:
        results[drive.bag] = result.to_dict()
        _write_results(out, results)

    with DriveBar(len(missing) * settings.sets) as bar:
        failed = record_drives(missing, settings, out, bar, keep)
    print(_summary(out, drives, results))
    if failed:
        reasons = "; ".join(f"{bag}: {reason}" for bag, reason in failed.items())
        raise CarlaError(
            f"{len(failed)} of {len(drives)} drives could not be recorded ({reasons}); the same "
            f"command tries them again"
        )


def _values(arguments: Arguments) -> dict[str, Any]:
    """The options, checked, lists taken apart; what the recording depends on."""
    values: dict[str, Any] = dict(arguments.as_dict())
    for name in ("towns", "weathers", "traffic"):
        listed = [part.strip() for part in values[name].split(",") if part.strip()]
        require(bool(listed), f"--{name} is empty")
        require(len(set(listed)) == len(listed), f"--{name} {values[name]}: a name stands twice")
        values[name] = listed
    for name in ("hours", "drive_minutes", "rate_hz", "stuck_s"):
        require(0 < values[name] < math.inf, f"--{_typed(name)} must be positive, got "
                f"{values[name]:g}")  # fmt: skip
    for name in ("keep_standing_s", "reconnect_minutes", "seed"):
        require(0 <= values[name] < math.inf, f"--{_typed(name)} must not be negative, got "
                f"{values[name]:g}")  # fmt: skip
    shares = values["validation_share"], values["test_share"]
    require(
        all(0 <= share < 1 for share in shares) and sum(shares) < 1,
        f"--validation-share and --test-share must be 0 or more and leave something to train on, "
        f"got {shares[0]:g} and {shares[1]:g}",
    )
    require(
        0 <= values["jpeg_quality"] <= 100,
        f"--jpeg-quality must lie between 1 and 100, or be 0 for raw, got {values['jpeg_quality']}",
    )
    return values


def _schedule(values: dict[str, Any]) -> tuple[ScheduledDrive, ...]:
    count = max(1, round(values["hours"] * 60 / values["drive_minutes"]))
    validation, test = values["validation_share"], values["test_share"]
    shares = {"train": 1.0 - validation - test, "validation": validation, "test": test}
    traffic = [traffic_of(name) for name in values["traffic"]]
    return schedule(values["towns"], values["weathers"], traffic, count, values["seed"], shares)


def _recording_settings(values: dict[str, Any]) -> RecordingSettings:
    from bev_perception.carla_world.settings import CarlaSettings
    from bev_perception.cli.carla_drives import RecordingSettings
    from bev_perception.geometry import load_rig
    from bev_perception.resources import config_path

    path = Path(values["rig"]) if values["rig"] else config_path("rigs/default.yaml")
    values["rig"] = str(path.resolve())
    rig = load_rig(path)
    values["rig_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    carla = CarlaSettings(
        host=values["host"],
        port=values["port"],
        tm_port=values["tm_port"],
        timeout_s=values["timeout_s"],
        sensor_timeout_s=values["timeout_s"],
        rate_hz=values["rate_hz"],
        ego_blueprint=values["ego"],
        visibility=not values["no_visibility"],
    )
    return RecordingSettings(
        carla,
        rig,
        sets=max(1, round(values["drive_minutes"] * 60 * values["rate_hz"])),
        jpeg_quality=values["jpeg_quality"] or None,
        storage=values["storage"],
        keep_standing_s=values["keep_standing_s"],
        stuck_s=values["stuck_s"],
        reconnect_s=60 * values["reconnect_minutes"],
    )


def _check_weathers(names: Sequence[str]) -> None:
    from bev_perception.carla_world.weather import weather_of

    for name in names:
        weather_of(name)


def _prepare_folder(
    out: Path, values: dict[str, Any], drives: Sequence[ScheduledDrive]
) -> dict[str, Any]:
    """Makes the folder, or checks that its recording was begun alike; results so far, by bag."""
    from bev_perception.cli.output_directory import (
        check_free,
        read_run_file,
        write_json,
        write_run_file,
        writing_to,
    )

    settings = {name: value for name, value in values.items() if name != "out"}
    with writing_to(out):
        if out.is_dir() and any(out.iterdir()):
            check_free(out, True, COMMAND_NAME)
            earlier = read_run_file(out).get("settings") or {}
            changed = [
                f"{name} {earlier.get(name)} there, {value} now"
                for name, value in settings.items()
                if name not in MAY_CHANGE and earlier.get(name) != value
            ]
            if changed:
                raise ConfigurationError(
                    f"--out {out} holds a recording of other settings ({', '.join(changed)}); "
                    f"choose another folder"
                )
        out.mkdir(parents=True, exist_ok=True)
        write_run_file(out, COMMAND_NAME, {"settings": settings})
        write_json(out / SCHEDULE_FILE, [drive.to_dict() for drive in drives])
    path = out / RESULTS_FILE
    if not path.is_file():
        return {}
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{path} is damaged ({error}); remove it") from error
    return {bag: result for bag, result in found.items() if (out / bag).exists()}


def _write_results(out: Path, results: dict[str, Any]) -> None:
    from bev_perception.cli.output_directory import write_json

    write_json(out / RESULTS_FILE, results)


def _summary(
    out: Path, drives: Sequence[ScheduledDrive], results: dict[str, dict[str, Any]]
) -> str:
    there = [drive for drive in drives if (out / drive.bag).exists()]
    known = [results[drive.bag] for drive in there if drive.bag in results]
    splits = {split: sum(drive.split == split for drive in there) for split in
              dict.fromkeys(drive.split for drive in drives)}  # fmt: skip
    stuck, again = sum(r["stuck"] for r in known), sum(r["attempts"] > 1 for r in known)
    return (
        f"{len(there)} of {len(drives)} drives in {out} ("
        + ", ".join(f"{name} {count}" for name, count in splits.items())
        + f"): {sum(r['sets'] for r in known)} sets, "
        f"{sum(r['distance_m'] for r in known) / 1000:.1f} km, "
        f"{sum(r['labels'] for r in known)} labels; {sum(r['standing'] for r in known)} sets of "
        f"halts left out, {stuck} drives ended early because the vehicle was stuck, {again} took "
        f"more than one attempt"
    )


def _typed(name: str) -> str:
    return name.replace("_", "-")
