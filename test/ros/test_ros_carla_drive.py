# SPDX-License-Identifier: Apache-2.0
"""From a CARLA world to the grid over DDS, with a double of the server; faults and clean ends."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from grid_messages import same_but_for_rounding, stamp_of

from bev_perception.geometry import Rig, RigCamera, RigidTransform, load_rig

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("carla", reason="the carla package is not installed")
pytest.importorskip("moderngl", reason="the double's images are the town's")

from diagnoses import PERIOD_S, Diagnoses

TESTS = Path(__file__).resolve().parents[1]
LENS = "width: 96, height: 64, horizontal_fov_deg: 100"
RIG = f"""
cameras:
  front: {{{LENS}, position: [1.9, 0, 1.6], rpy_deg: [0, 5, 0]}}
  left: {{{LENS}, position: [1.2, 0.8, 1.6], rpy_deg: [0, 5, 90]}}
"""
SHARED_TOPICS = ["/tf", "/tf_static", "/odom", "/ground_truth/objects"]
UNTOUCHED = {"actors": [], "synchronous": False, "managers": [], "violations": []}


@pytest.fixture
def rig_file(tmp_path: Path) -> Path:
    path = tmp_path / "rig.yaml"
    path.write_text(RIG)
    return path


@pytest.fixture
def carla_node(ros_process: Any, rig_file: Path, tmp_path: Path) -> Callable[..., Any]:
    """carla_node(double, **parameters): the node on a double with those values."""

    def start(double: dict[str, Any] | None = None, **parameters: Any) -> Any:
        (tmp_path / "double.json").write_text(json.dumps(double or {}))
        values = {
            "rig_file": str(rig_file),
            "vehicles": 3,
            "walkers": 2,
            "timeout_s": 2.0,
            "sensor_timeout_s": 1.0,
            "max_real_time_factor": 0.0,
            **parameters,
        }
        paths = [str(TESTS), str(TESTS / "ros"), os.environ.get("PYTHONPATH", "")]
        return ros_process(
            "doubled_carla_node",
            tmp_path / "double.json",
            tmp_path / "left.json",
            parameters=values,
            environment={"PYTHONPATH": os.pathsep.join(paths)},
        )

    return start


@pytest.fixture
def left_behind(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """left_behind(): what is in the server after the node's end."""
    return lambda: json.loads((tmp_path / "left.json").read_text())


@pytest.fixture
def heard(client: Any) -> SimpleNamespace:
    """Everything that the node publishes."""
    from nav_msgs.msg import Odometry
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import CameraInfo, Image
    from tf2_msgs.msg import TFMessage
    from visualization_msgs.msg import MarkerArray

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    names = ("front", "left")
    return SimpleNamespace(
        images={name: client.collect(f"/camera/{name}/image_raw", Image, 50) for name in names},
        infos={name: client.collect(f"/camera/{name}/camera_info", CameraInfo) for name in names},
        tf=client.collect("/tf", TFMessage, 100),
        static=client.collect("/tf_static", TFMessage, latched),
        odometry=client.collect("/odom", Odometry),
        truth=client.collect("/ground_truth/objects", MarkerArray),
        clock=client.collect("/clock", Clock, 50),
    )


def poses(message: Any) -> dict[tuple[str, str], RigidTransform]:
    """Transforms by (parent, child)."""
    from bev_perception.bags.poses import transform_from_message

    return {
        (entry.header.frame_id, entry.child_frame_id): transform_from_message(entry.transform)
        for entry in message.transforms
    }


def published_rig(heard: SimpleNamespace) -> Rig:
    """What a listener makes of CameraInfo and /tf_static."""
    from bev_perception.bags.camera_info import calibration_from_message

    mounts, cameras = poses(heard.static.wait(1)[-1]), {}
    for name, infos in heard.infos.items():
        info = infos.wait(1)[-1]
        camera = calibration_from_message(info, name, False).camera
        frame = info.header.frame_id
        cameras[name] = RigCamera(camera, mounts["base_link", frame], frame)
    return Rig(cameras)


def test_the_grid_is_that_of_the_worlds_images_cameras_and_pose(
    carla_node: Callable[..., Any],
    heard: SimpleNamespace,
    perception_node: Callable[..., Any],
    client: Any,
    fast_weights: Path,
    rig_file: Path,
    left_behind: Callable[[], dict[str, Any]],
) -> None:
    from nav_msgs.msg import OccupancyGrid

    from bev_perception.bags.occupancy_grids import probability_values
    from bev_perception.geometry import CameraFrame, FrameSet
    from bev_perception.inference import load_engine
    from bev_perception.perception import Pipeline
    from bev_perception.ros.image_messages import image_from_message

    grids = client.collect("/bev/probability_grid", OccupancyGrid)
    perception_node(
        cameras=["front", "left"],
        precision="fp32",
        image_reliability="reliable",
        min_cameras=2,
        diagnostics_period_s=PERIOD_S,
    )
    diagnoses = Diagnoses(client, "bev")
    client.wait_matched(grids)
    node = carla_node(
        {"draw": True, "tilt_rad": [0.02, -0.03]},
        paused=True,
        num_sets=6,
        wait_for_subscribers=2,
        wait_for_subscribers_on=SHARED_TOPICS,
        wait_for_topic="/bev/occupancy_grid",
        lockstep_timeout_s=60.0,
    )
    diagnoses.wait_for_publisher("/carla", ("front", "left"))
    assert client.set_parameters("/carla", paused=False)[0].successful
    assert node.wait() == 0
    assert left_behind() == UNTOUCHED
    rig, wanted = published_rig(heard), load_rig(rig_file)
    for name in wanted:
        assert rig[name].base_T_camera.is_close(wanted[name].base_T_camera, 1e-3, 1e-4)
    grid = grids.wait(6)[-1]
    stamp_ns = stamp_of(grid)
    frames = {}
    for name, images in heard.images.items():
        image = images.wait_until(lambda each: stamp_of(each) == stamp_ns)
        frames[name] = CameraFrame(name, stamp_ns, image_from_message(image, name))
    tf = heard.tf.wait_until(lambda each: stamp_of(each.transforms[0]) == stamp_ns)
    transforms = poses(tf)
    assert list(transforms) == [("map", "odom"), ("odom", "base_link")]
    map_T_base = transforms["map", "odom"] @ transforms["odom", "base_link"]
    assert abs(map_T_base.euler[:2]).max() > 0.01, "the town is tilted, a level grid is none"
    engine = load_engine(fast_weights, device="cpu", precision="fp32")
    output = Pipeline(engine, rig).process(FrameSet(stamp_ns, frames, (), map_T_base))
    assert same_but_for_rounding(grid, probability_values(output))


def test_everything_of_a_tick_has_one_stamp_and_the_vehicles_frames(
    carla_node: Callable[..., Any], heard: SimpleNamespace
) -> None:
    from rosgraph_msgs.msg import Clock

    from bev_perception.ros.stamps import time_message

    topics = [*SHARED_TOPICS, "/clock"]
    node = carla_node(num_sets=4, wait_for_subscribers=1, wait_for_subscribers_on=topics)
    assert node.wait() == 0
    stamps = [stamp_of(image) for image in heard.images["front"].wait(4)]
    assert np.diff(stamps).tolist() == [100_000_000] * 3
    assert [stamp_of(image) for image in heard.images["left"].wait(4)] == stamps
    for name, infos in heard.infos.items():
        assert {stamp_of(info) for info in infos.messages} <= set(stamps)
        assert infos.wait(1)[0].header.frame_id == f"{name}_optical_frame"
    (odometry, *_) = heard.odometry.wait(1)
    assert (odometry.header.frame_id, odometry.child_frame_id) == ("odom", "base_link")
    markers = [marker for array in heard.truth.wait(1) for marker in array.markers]
    assert {marker.header.frame_id for marker in markers if marker.header.frame_id} == {"base_link"}
    for stamp_ns in stamps:
        moment = Clock(clock=time_message(stamp_ns))
        heard.clock.wait_until(moment.__eq__)


@pytest.mark.parametrize(
    ("faults", "expected", "empties"),
    [
        ({"dead_from": 60}, "CARLA does not answer", False),
        ({"silent": [0, 60]}, "camera 'front' has not delivered tick", True),
    ],
    ids=["server gone", "camera silent"],
)
def test_a_fault_ends_it_in_one_line_and_leaves_no_actors(
    carla_node: Callable[..., Any],
    left_behind: Callable[[], dict[str, Any]],
    faults: dict[str, Any],
    expected: str,
    empties: bool,
) -> None:
    """Two of the faults that test_carla_faults knows."""
    node = carla_node({"faults": faults}, num_sets=200)
    assert node.wait() == 2, node.log
    (error,) = [line for line in node.log.splitlines() if line.startswith("carla_node: error:")]
    assert re.search(expected, error)
    assert "Traceback" not in node.log
    if empties:
        left = left_behind()
        assert left["actors"] == []
        assert not left["synchronous"]


@pytest.mark.parametrize(
    ("with_signal", "waiting"),
    [(signal.SIGINT, False), (signal.SIGTERM, True)],
    ids=["Ctrl-C while driving", "SIGTERM while waiting"],
)
def test_signals_end_it_with_the_world_as_it_was(
    carla_node: Callable[..., Any],
    left_behind: Callable[[], dict[str, Any]],
    with_signal: signal.Signals,
    waiting: bool,
) -> None:
    node = carla_node(wait_for_subscribers=5 if waiting else 0)
    node.wait_for_log("driving with 3 vehicles and 2 walkers")
    assert node.stop(with_signal) == 0
    assert left_behind() == UNTOUCHED
    assert "Traceback" not in node.log
    assert "world is as it was before" in node.log
