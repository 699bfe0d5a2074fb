# SPDX-License-Identifier: Apache-2.0
"""Drives through simulated towns, recorded as bags, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bev_perception.bags import BagWriter
from bev_perception.cli.labelled_set import write_labelled_set
from bev_perception.geometry import LIDAR_FRAME
from bev_perception.geometry.rig_file import load_rig
from bev_perception.parallel import run_jobs, stop_if_asked
from bev_perception.simulation.lidar import lidar_mounting
from bev_perception.simulation.motion import IMU_FRAME, IMU_MOUNTING, DriveMotion, imu_samples
from bev_perception.simulation.rig_variation import varied_rig
from bev_perception.simulation.simulator import FIRST_STAMP_NS, Simulator


@dataclass(frozen=True)
class TownJob:
    """One bag to record.

    Attributes:
        seed: of the town.
        path: of the bag; must not exist.
        rig_file: calibrates all its cameras.
        num_sets, rate_hz: length and pace of the drive.
        jpeg_quality: 1 to 100, None for raw images.
        storage: mcap or sqlite3.
        lidar: also record LiDAR points.
        imu: also record an IMU.
        vary_rig: seed of a rig drawn around the file's, see simulation.rig_variation; None takes
            the file's.
        busier: times as many moving vehicles as otherwise.
    """

    seed: int
    path: Path
    rig_file: Path
    num_sets: int
    rate_hz: float = 10.0
    jpeg_quality: int | None = 92
    storage: str = "mcap"
    lidar: bool = False
    vary_rig: int | None = None
    imu: bool = False
    busier: float = 1.0


def record_town(job: TownJob, on_set: Callable[[], object] | None = None) -> None:
    """Simulates and records one drive; the bag is there whole or not at all.

    Args:
        job: what to record.
        on_set: called after every set.

    Raises:
        BevError: the rig cannot be used, or the bag cannot be written.
        KeyboardInterrupt: the parent process was interrupted.
    """
    rig = load_rig(job.rig_file)
    if job.vary_rig is not None:
        rig = varied_rig(rig, job.vary_rig, job.seed)
    with (
        BagWriter(job.path, job.storage) as writer,
        Simulator(job.seed, rig, job.rate_hz, lidar=job.lidar, busier=job.busier) as simulator,
    ):
        others = {LIDAR_FRAME: lidar_mounting(rig)} if job.lidar else {}
        others |= {IMU_FRAME: IMU_MOUNTING} if job.imu else {}
        poses = []
        writer.write_rig(rig, FIRST_STAMP_NS, others=others)
        for simulated in simulator.run(job.num_sets):
            stop_if_asked()
            write_labelled_set(
                writer, simulated.frame_set, simulated.objects, rig, job.jpeg_quality,
                simulated.scan,
            )  # fmt: skip
            if simulated.frame_set.world_T_base is not None:
                poses.append((simulated.frame_set.stamp_ns, simulated.frame_set.world_T_base))
            if on_set is not None:
                on_set()
        if job.imu:
            writer.write_imu(imu_samples(DriveMotion(poses), seed=job.seed))


def record_towns(jobs: Sequence[TownJob], processes: int, on_sets: Callable[[int], object]) -> None:
    """Records several drives.

    Args:
        jobs: one per bag.
        processes: how many at a time; 1 works in this process.
        on_sets: called with the number of sets done since the last call.

    Raises:
        BevError, KeyboardInterrupt: as record_town; the bags finished before stay.
    """
    if processes <= 1 or len(jobs) <= 1:
        for job in jobs:
            record_town(job, lambda: on_sets(1))
    else:
        run_jobs(record_town, jobs, processes, lambda job: on_sets(job.num_sets))
