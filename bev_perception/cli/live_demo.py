# SPDX-License-Identifier: Apache-2.0
"""A live drive: town, perception and recorder as processes on real ROS 2 topics."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from bev_perception.cli.processes import Processes
from bev_perception.cli.ros_domain import own_domain
from bev_perception.errors import ConfigurationError, SystemLibraryError
from bev_perception.geometry import Rig

if TYPE_CHECKING:
    from bev_perception.ros.drive_observer import DriveObserver
    from bev_perception.ros.session import Session

LOG_FOLDER = "logs"
JPEG_QUALITY = 92
"""As bev simulate has it, so that live and offline see the same pixels."""

START_TIMEOUT_S = 60.0
LOCKSTEP_TIMEOUT_S = 15.0
LAST_OUTPUTS_S = 10.0
GRID_TOPIC = "/bev/occupancy_grid"
RECORDED_OF_TOWN = ("/tf", "/tf_static", "/odom", "/ground_truth/objects")


@dataclass(frozen=True)
class LiveDrive:
    """What drives, and what watches.

    Attributes:
        town: seed.
        num_sets, rate_hz: length and pace in simulated time.
        rig_file: cameras of the vehicle.
        rig: what it says.
        weights: of the network, a file.
        device, precision, backend: of the network.
    """

    town: int
    num_sets: int
    rate_hz: float
    rig_file: Path
    rig: Rig
    weights: Path
    device: str = "cpu"
    precision: str = "fp32"
    backend: str = "auto"


def check_ros() -> None:
    """Refuses at once where there is no ROS 2.

    Raises:
        SystemLibraryError: says how to have it, or to do without.
    """
    from bev_perception.ros.environment import require_ros

    try:
        require_ros()
    except SystemLibraryError as error:
        raise SystemLibraryError(f"{error}; or do without: bev demo --offline") from error


def check_names(rig: Rig) -> None:
    """Refuses cameras whose names cannot be part of a topic.

    Raises:
        ConfigurationError: names one.
    """
    for name in rig.names:
        if not (name.isidentifier() and name.isascii()):
            raise ConfigurationError(
                f"camera {name!r} cannot be part of a ROS topic's name; use letters, digits and "
                f"underscores, a letter first, or give --offline"
            )


def record_live(drive: LiveDrive, bag: Path, logs: Path) -> None:
    """Drives through the town and records everything, the network's outputs too.

    The town makes its next set once the output of the last one has come, so that nothing is
    lost however slow the machine is.

    Args:
        drive: see there.
        bag: to record; must not exist.
        logs: folder for the processes' logs; must not exist.

    Raises:
        ProcessError: one of the processes could not do its work.
        KeyboardInterrupt: Ctrl-C; all processes have been ended.
    """
    from bev_perception.ros.session import Session

    with own_domain() as domain, Session("bev_demo") as session, Processes(logs) as processes:
        from bev_perception.ros.drive_observer import DriveObserver

        tqdm.write(
            f"town, perception and recorder are three processes on ROS_DOMAIN_ID={domain}; "
            f"their topics can be watched from another terminal"
        )
        observer = DriveObserver(session.node)
        processes.start("perception", *_perception(drive))
        processes.start("recorder", *_recorder(bag))
        processes.start("town", *_town(drive))
        _wait_until_connected(session, processes, observer)
        observer.start()
        with tqdm(total=drive.num_sets, desc="drive", unit="set", dynamic_ncols=True) as bar:
            for done in _outputs(session, processes, observer):
                bar.update(done - bar.n)
        processes.end("perception")
        processes.end("recorder")


def _wait_until_connected(session: Session, processes: Processes, observer: DriveObserver) -> None:
    """Until every topic has its recorder, so that the first set is not lost."""
    end = time.monotonic() + START_TIMEOUT_S
    layout = "{desc}: {elapsed}{postfix}"
    with tqdm(desc="start", bar_format=layout, leave=False, miniters=0, mininterval=0.5) as bar:
        while missing := observer.missing():
            _spin(session, 0.05)
            processes.check()
            bar.set_postfix_str(missing[0], refresh=False)
            bar.update(0)
            if time.monotonic() > end:
                raise processes.failure(
                    "perception", f"and the others did not meet in {START_TIMEOUT_S:g} s: "
                    f"{'; '.join(missing)}"
                )  # fmt: skip


def _outputs(session: Session, processes: Processes, observer: DriveObserver) -> Iterator[int]:
    """Number of outputs so far, until the town is done and all that it caused has come."""
    while processes["town"].exit_code is None:
        _spin(session, 0.1)
        processes.check(may_end=["town"])
        yield observer.outputs
    processes.check(may_end=["town"])
    end = time.monotonic() + LAST_OUTPUTS_S
    while observer.finished < observer.outputs and time.monotonic() < end:
        _spin(session, 0.1)
        processes.check(may_end=["town"])
    yield observer.outputs


def _spin(session: Session, timeout_s: float) -> None:
    session.spin_once(timeout_s)
    if session.stopping:
        raise KeyboardInterrupt


def _town(drive: LiveDrive) -> list[str]:
    settings = {
        "town": drive.town,
        "num_sets": drive.num_sets,
        "rate_hz": float(drive.rate_hz),
        "rig_file": str(drive.rig_file.resolve()),
        "jpeg_quality": JPEG_QUALITY,
        "max_real_time_factor": 0.0,
        "paused": True,
        "wait_for_subscribers": 2,
        "wait_for_subscribers_on": list(RECORDED_OF_TOWN),
        "wait_for_topic": GRID_TOPIC,
        "lockstep_timeout_s": LOCKSTEP_TIMEOUT_S,
    }
    return ["bev_perception.ros.simulation_node", *_ros_arguments(settings)]


def _perception(drive: LiveDrive) -> list[str]:
    settings = {
        "use_sim_time": True,
        "cameras": list(drive.rig.names),
        "image_transport": "compressed",
        "image_reliability": "reliable",
        "weights": str(drive.weights.resolve()),
        "device": drive.device,
        "precision": drive.precision,
        "backend": drive.backend,
    }
    remappings = {}
    for name in drive.rig.names:
        remappings[f"~/input/{name}/image"] = f"/camera/{name}/image_raw/compressed"
        remappings[f"~/input/{name}/camera_info"] = f"/camera/{name}/camera_info"
    return ["bev_perception.ros.perception_node", *_ros_arguments(settings, remappings)]


def _recorder(bag: Path) -> list[str]:
    return ["bev_perception.cli.main", "record", "--use-sim-time", "--out", str(bag)]


def _ros_arguments(
    parameters: Mapping[str, object], remappings: Mapping[str, str] | None = None
) -> list[str]:
    """``--ros-args`` of a node; JSON is YAML."""
    arguments = ["--ros-args"]
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={json.dumps(value)}"]
    for name, other in (remappings or {}).items():
        arguments += ["-r", f"{name}:={other}"]
    return arguments
