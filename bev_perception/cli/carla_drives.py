# SPDX-License-Identifier: Apache-2.0
"""Drives on a CARLA server, recorded one after the other, through restarts of the server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bev_perception.bags import BagWriter
from bev_perception.carla_world.connection import connect, town_names
from bev_perception.carla_world.faults import (
    CameraSilentError,
    EgoLostError,
    NoServerError,
    ServerLostError,
    WorldChangedError,
)
from bev_perception.carla_world.session import CarlaSession
from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.cli.carla_schedule import ScheduledDrive
from bev_perception.cli.labelled_set import write_labelled_set
from bev_perception.cli.standing import Motion, StandingWatch
from bev_perception.errors import CarlaError
from bev_perception.geometry import Rig, RigidTransform

ATTEMPTS = 3
"""Of one drive in one run."""

POLL_S = 5.0
"""Between attempts to reach a server."""

MOST_SKIPPED = 4
"""Halts may make a drive this many times longer than its sets; then it ends."""

PASSING_FAULTS = (
    NoServerError,
    ServerLostError,
    WorldChangedError,
    EgoLostError,
    CameraSilentError,
)
"""What another attempt may be spared."""


class Progress(Protocol):
    """What is told while recording."""

    def begin(self, drive: ScheduledDrive) -> None:
        """A drive begins."""

    def sets(self, number: int) -> None:
        """Sets were written; less than 0 when a drive has to be done again."""

    def say(self, text: str) -> None:
        """Something that a person should know."""


@dataclass(frozen=True)
class RecordingSettings:
    """How every drive is recorded.

    Attributes:
        carla: town, weather, traffic and seed are replaced by the drive's.
        rig: cameras.
        sets: of one drive.
        jpeg_quality: 1 to 100, None for raw images.
        storage: mcap or sqlite3.
        keep_standing_s, stuck_s: see StandingWatch.
        reconnect_s: how long to wait for a server that is gone.
    """

    carla: CarlaSettings
    rig: Rig
    sets: int
    jpeg_quality: int | None = 92
    storage: str = "mcap"
    keep_standing_s: float = 5.0
    stuck_s: float = 60.0
    reconnect_s: float = 600.0


@dataclass
class DriveResult:
    """What became of a drive.

    Attributes:
        sets: in the bag.
        standing: sets of halts that were left out.
        stuck: whether it ended early because the ego vehicle stood for too long.
        distance_m: driven.
        labels: boxes over all sets.
        vehicles, walkers, parked: that were there.
        attempts: that it took.
        remarks: of the session.
    """

    sets: int = 0
    standing: int = 0
    stuck: bool = False
    distance_m: float = 0.0
    labels: int = 0
    vehicles: int = 0
    walkers: int = 0
    parked: int = 0
    attempts: int = 1
    remarks: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def check_server(settings: CarlaSettings, towns: Sequence[str]) -> None:
    """Refuses now what would stop an unattended recording after hours.

    Raises:
        CarlaError: no server, another version, or it lacks a town.
    """
    known = town_names(connect(settings))
    names = {name.lower() for name in known}
    missing = [town for town in towns if town.rsplit("/", 1)[-1].lower() not in names]
    if missing:
        raise CarlaError(
            f"this CARLA server has no town {', '.join(missing)}; it has {', '.join(known)}"
        )


def record_drives(
    drives: Sequence[ScheduledDrive],
    settings: RecordingSettings,
    out: Path,
    progress: Progress,
    on_result: Callable[[ScheduledDrive, DriveResult], object],
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Records drives below a folder; each bag is there whole or not at all.

    A drive whose server, world, ego vehicle or camera is lost is tried again, up to ATTEMPTS
    times; a server that is gone is waited for.

    Args:
        drives: without those that are recorded already.
        settings: of all of them.
        out: folder that the bags' names are relative to.
        progress: is told how it goes.
        on_result: called after each drive.
        sleep: waits for a server that is gone.

    Returns:
        Why drives could not be recorded, by bag; the others are there.

    Raises:
        CarlaError: the server does not come back in time, or refuses something that another
            attempt would not change.
        KeyboardInterrupt: the drive at work leaves nothing behind.
    """
    for drive in drives:
        _discard_unfinished(out / drive.bag)
    failed = {}
    for drive in drives:
        progress.begin(drive)
        for attempt in range(1, ATTEMPTS + 1):
            result = DriveResult(attempts=attempt)
            try:
                _record(drive, settings, out / drive.bag, progress, result)
            except PASSING_FAULTS as error:
                progress.sets(-result.sets)
                progress.say(f"{drive.bag}, attempt {attempt} of {ATTEMPTS}: {error}")
                if isinstance(error, (NoServerError, ServerLostError)):
                    _wait_for_server(settings, progress, sleep)
                if attempt == ATTEMPTS:
                    failed[drive.bag] = str(error)
                continue
            on_result(drive, result)
            break
    return failed


def _discard_unfinished(path: Path) -> None:
    """What a recording that was killed has left of a bag; BagWriter writes beside the bag."""
    for folder in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(folder, ignore_errors=True)


def _record(
    drive: ScheduledDrive,
    settings: RecordingSettings,
    path: Path,
    progress: Progress,
    result: DriveResult,
) -> None:
    carla = replace(
        settings.carla,
        town=drive.town,
        weather=drive.weather,
        vehicles=drive.traffic.vehicles,
        walkers=drive.traffic.walkers,
        seed=drive.seed,
    )
    watch = StandingWatch(settings.keep_standing_s, settings.stuck_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    with CarlaSession(carla, settings.rig) as session:
        with BagWriter(path, settings.storage) as writer:
            for found in session.run(MOST_SKIPPED * settings.sets):
                frame_set = found.frame_set
                pose = frame_set.world_T_base or RigidTransform.identity()
                motion = watch.judge(frame_set.stamp_ns, pose)
                result.stuck = motion is Motion.STUCK
                if result.stuck:
                    break
                if motion is Motion.SKIP:
                    result.standing += 1
                    continue
                write_labelled_set(
                    writer, frame_set, found.objects, session.rig, settings.jpeg_quality
                )
                result.sets += 1
                result.labels += len(found.objects)
                progress.sets(1)
                if result.sets == settings.sets:
                    break
        statistics = session.statistics
    result.distance_m = round(watch.distance_m, 1)
    result.vehicles, result.walkers = statistics.vehicles, statistics.walkers
    result.parked, result.remarks = statistics.parked, list(statistics.remarks)


def _wait_for_server(
    settings: RecordingSettings, progress: Progress, sleep: Callable[[float], None]
) -> None:
    """Until a server answers; each attempt to connect takes its own time too.

    Raises:
        NoServerError: none does within reconnect_s.
    """
    deadline = time.monotonic() + settings.reconnect_s
    progress.say(f"waiting up to {settings.reconnect_s / 60:.1f} min for the server")
    while True:
        try:
            connect(settings.carla)
            return
        except NoServerError as error:
            if time.monotonic() >= deadline:
                raise NoServerError(
                    f"{error}; waited {settings.reconnect_s / 60:.1f} min. What is recorded "
                    f"stays, and the same command goes on once the server runs"
                ) from error
        sleep(POLL_S)
