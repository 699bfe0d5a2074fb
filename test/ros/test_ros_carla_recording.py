# SPDX-License-Identifier: Apache-2.0
"""carla.launch.py record:=true with the real nodes and recorder: labelled bags that train."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("launch_ros", reason="launch is part of a ROS 2 install, it has no wheel")
pytest.importorskip("carla", reason="the carla package is not installed")
pytest.importorskip("moderngl", reason="the double's images are the town's")

from carla_publishers import SECOND, ForeignCameras
from installed_launch import launch, prefix, started
from rosgraph_msgs.msg import Clock

from bev_perception.bags import BagReader
from bev_perception.geometry import RigidTransform, load_rig
from bev_perception.ros.carla_defects import Defect
from bev_perception.ros.stamps import header_message, time_message
from bev_perception.ros.transform_messages import pose_message

__all__ = ["launch", "prefix", "started"]
pytestmark = pytest.mark.slow
TESTS = Path(__file__).resolve().parents[1]
# Python imports it when it starts: the installed carla_node then reaches a double of the server.
SITE = """
import sys
if any(argument.endswith("carla_node") for argument in sys.orig_argv):
    sys.path[:0] = {paths}
    from pathlib import Path
    import doubled_carla_node
    from bev_perception.ros import carla_node
    double, left = Path({double!r}), Path({left!r})
    carla_node.main = lambda args=None: doubled_carla_node.run(double, left, sys.argv)
"""
LENS = "width: 96, height: 64, horizontal_fov_deg: 100"
RIG = f"""
cameras:
  front: {{{LENS}, position: [1.9, 0, 1.6], rpy_deg: [0, 5, 0]}}
  left: {{{LENS}, position: [1.2, 0.8, 1.6], rpy_deg: [0, 5, 90]}}
  rear: {{{LENS}, position: [-0.5, 0, 1.6], rpy_deg: [0, 5, 180]}}
  right: {{{LENS}, position: [1.2, -0.8, 1.6], rpy_deg: [0, 5, -90]}}
"""


@pytest.fixture(autouse=True)
def no_ros2_bag() -> None:
    if "ros2bag" in os.environ.get("AMENT_PREFIX_PATH", ""):
        pytest.skip("ros2 bag is installed and records in the place of bev record")


@pytest.fixture
def rig_file(tmp_path: Path) -> Path:
    path = tmp_path / "rig.yaml"
    path.write_text(RIG)
    return path


def press_ctrl_c(launched: Any) -> None:
    """As a terminal does: the signal goes to all processes at once."""
    pid = launched.process.pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGINT)
    assert launched.stop() == 0


def train_one_step(bag: Path, out: Path) -> None:
    from tiny_network import CONFIG

    from bev_perception.cli.main import main

    recipe = out.with_suffix(".yaml")
    settings = {"accelerator": "cpu", "precision": "fp32", "max_steps": 1, "batch_size": 1}
    recipe.write_text(yaml.safe_dump({**settings, "model": CONFIG.to_dict()}))
    assert main(["train", str(bag), "--config", str(recipe), "--out", str(out)]) == 0
    assert (out / "weights.safetensors").is_file()


def test_a_drive_in_the_world_is_recorded_and_trains(
    launch: Callable[..., Any], rig_file: Path, fast_weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "double.json").write_text(json.dumps({"draw": True}))
    names = {name: str(tmp_path / f"{name}.json") for name in ("double", "left")}
    paths = [str(TESTS), str(TESTS / "ros")]
    (tmp_path / "sitecustomize.py").write_text(SITE.format(paths=paths, **names))
    bag = tmp_path / "bag"
    launched = launch(
        "carla", "record:=true", f"output:={bag}", f"rig_file:={rig_file}", "num_sets:=30",
        f"weights:={fast_weights}", "device:=cpu", "vehicles:=4", "walkers:=2", "rviz:=false",
        "wait_for_topic:=/bev/occupancy_grid",
    )  # fmt: skip
    assert launched.wait(120.0) == 0, launched.log
    assert json.loads((tmp_path / "left.json").read_text()) == {
        "actors": [], "synchronous": False, "managers": [], "violations": [],
    }  # fmt: skip
    with BagReader(bag) as reader:
        rig, wanted = reader.rig(), load_rig(rig_file)
        stamps = {frame.stamp_ns for frame in reader.camera_frames()}
        assert all(rig[n].base_T_camera.is_close(wanted[n].base_T_camera, 1e-3) for n in wanted)
        assert len(stamps) > 20, "the recorder was there in time for most of it"
        assert any(box.is_vehicle for stamp in stamps for box in reader.objects(stamp) or ())
    train_one_step(bag, tmp_path / "trained")


def test_a_drive_of_the_bridge_is_recorded_with_labels_and_trains(
    launch: Callable[..., Any],
    rig_file: Path,
    client: Any,
    fast_weights: Path,
    wait_until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    messages = pytest.importorskip("derived_object_msgs.msg", reason="it is not installed")
    rig, bag = load_rig(rig_file), tmp_path / "bag"
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    cameras = ForeignCameras(
        client, rig, dict.fromkeys(rig, image), "ego_vehicle",
        RigidTransform.from_euler(translation=(1.4, 0.0, 0.0)), "ego_vehicle/", {Defect.HALF_PIXEL},
    )  # fmt: skip
    launched = launch(
        "carla", "source:=ros_bridge", "record:=true", f"output:={bag}", f"rig_file:={rig_file}",
        f"weights:={fast_weights}", "device:=cpu", "rviz:=false",
    )  # fmt: skip
    from nav_msgs.msg import OccupancyGrid
    from visualization_msgs.msg import MarkerArray

    truth = client.collect("/ground_truth/objects", MarkerArray)
    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    stamps = itertools.count(10 * SECOND, SECOND // 20)

    def tick() -> bool:
        stamp_ns = next(stamps)
        client.publish("/clock", Clock(clock=time_message(stamp_ns)))
        cameras.publish(stamp_ns, RigidTransform.identity())
        header = header_message(stamp_ns, "map")
        car = messages.Object(
            header=header, id=5, classification=messages.Object.CLASSIFICATION_CAR
        )
        car.pose = pose_message(RigidTransform.from_euler(translation=(12.0, 3.0, 0.0)))
        car.shape.type, car.shape.dimensions = 1, [4.0, 2.0, 1.5]
        array = messages.ObjectArray(header=header, objects=[car])
        client.publish("/carla/ego_vehicle/objects", array)
        return len(truth) > 20 and len(grids) > 2

    wait_until(tick, 60.0, "ground truth and grids")
    press_ctrl_c(launched)
    cameras.close()
    with BagReader(bag) as reader:
        frames = list(reader.camera_frames())
        labels = [boxes for frame in frames if (boxes := reader.objects(frame.stamp_ns))]
        camera = reader.rig()["left"]
    assert len(labels) > 20
    np.testing.assert_allclose(labels[-1][0].center, (12.0, 3.0, 0.75), atol=1e-6)
    assert camera.camera.cx == pytest.approx(rig["left"].camera.cx), (
        "the bridge says half a pixel more"
    )
    assert camera.base_T_camera.is_close(rig["left"].base_T_camera, 1e-3)
    train_one_step(bag, tmp_path / "trained")
