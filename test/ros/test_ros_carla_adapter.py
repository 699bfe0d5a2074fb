# SPDX-License-Identifier: Apache-2.0
"""Cameras of carla_ros_bridge and of the CARLA server give the grid of right ones, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grid_messages import SECOND, same_but_for_rounding, stamp_of
from numpy.typing import NDArray

from bev_perception.geometry import Rig, RigidTransform

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("moderngl", reason="the town needs moderngl")

from adapted_cameras import BASE_T_EGO, Ticks, adapter, foreign, images, rig, rig_file, ticks
from carla_publishers import ForeignCameras

from bev_perception.ros.carla_defects import Defect

MAP_T_BASE = RigidTransform.from_euler(0.03, -0.05, 0.7, (40.0, -7.0, 0.5))
__all__ = ["adapter", "foreign", "images", "rig", "rig_file", "ticks"]
NATIVE = {
    Defect.BODY_AXES,
    Defect.HALVED_ANGLES,
    Defect.TAN_OF_DEGREES,
    Defect.HALF_PIXEL,
}
"""What CARLA 0.9.15 and 0.9.16 publish by themselves."""


@pytest.fixture(scope="module")
def right_grids(
    client_of_module: Any,
    rig: Rig,
    images: dict[str, NDArray[np.uint8]],
    fast_weights: Path,
    ros_process_of_module: Any,
) -> Callable[[RigidTransform | None], NDArray[np.int8]]:
    """right_grids(map_T_base): probabilities that the pipeline makes of images, rig and pose."""
    from bev_perception.bags.occupancy_grids import probability_values
    from bev_perception.geometry import CameraFrame, FrameSet
    from bev_perception.inference import load_engine
    from bev_perception.perception import Pipeline

    def make(map_T_base: RigidTransform | None) -> NDArray[np.int8]:
        engine = load_engine(fast_weights, device="cpu", precision="fp32")
        frames = {name: CameraFrame(name, SECOND, image) for name, image in images.items()}
        output = Pipeline(engine, rig).process(FrameSet(SECOND, frames, (), map_T_base))
        return probability_values(output)

    return make


def perception(
    ros_process: Any, weights: Path, rig: Rig, role: str, info: str = "/camera/{}/camera_info"
) -> None:
    """The perception node on foreign images and corrected CameraInfo."""
    remappings = {"__node": "bev"}
    for name in rig:
        remappings[f"~/input/{name}/image"] = f"/carla/{role}/{name}/image"
        remappings[f"~/input/{name}/camera_info"] = info.format(name)
    values = {"weights": str(weights), "device": "cpu", "precision": "fp32", "num_threads": 1}
    values |= {"track": False, "min_cameras": 4}
    ros_process("bev_perception.ros.perception_node", parameters=values, remappings=remappings)


@pytest.mark.parametrize(
    ("source", "role", "prefix", "defects", "pose"),
    [
        ("ros_bridge", "ego_vehicle", "ego_vehicle/", {Defect.HALF_PIXEL}, MAP_T_BASE),
        ("native", "hero", "", NATIVE, None),
        ("native", "hero", "", NATIVE - {Defect.HALVED_ANGLES}, MAP_T_BASE),
        ("native", "hero", "", {Defect.BODY_AXES, Defect.NO_CALIBRATION}, MAP_T_BASE),
    ],
    ids=["ros_bridge", "native_0.9.16", "native_angles_mended", "native_without_calibration"],
)
def test_the_grid_is_that_of_right_cameras(
    source: str,
    role: str,
    prefix: str,
    defects: set[Defect],
    pose: RigidTransform | None,
    adapter: Callable[..., Any],
    foreign: Callable[..., ForeignCameras],
    ticks: Ticks,
    rig: Rig,
    client: Any,
    ros_process: Any,
    fast_weights: Path,
    right_grids: Callable[[RigidTransform | None], NDArray[np.int8]],
) -> None:
    from nav_msgs.msg import OccupancyGrid

    grids = client.collect("/bev/probability_grid", OccupancyGrid)
    cameras = foreign(role, prefix=prefix, defects=defects)
    node = adapter(source)
    perception(ros_process, fast_weights, rig, role)
    wanted = right_grids(pose)

    def is_right() -> bool:
        return len(grids) > 0 and same_but_for_rounding(grids[-1], wanted)

    ticks.until(lambda: len(grids) > 3, lambda stamp: cameras.publish(stamp, pose), "grids")
    ticks.until(is_right, lambda stamp: cameras.publish(stamp, pose), "the right grid")
    for name in rig:
        for kind in defects:
            node.wait_for_log(f"camera '{name}' repaired: .*{kind.fault.split('(')[0]}")
    assert node.stop() == 0
    assert "Traceback" not in node.log


def test_the_defects_of_the_server_do_spoil_a_grid(
    foreign: Callable[..., ForeignCameras],
    client: Any,
    ros_process: Any,
    fast_weights: Path,
    rig: Rig,
    ticks: Ticks,
    right_grids: Callable[[RigidTransform | None], NDArray[np.int8]],
) -> None:
    """What the tests above would miss if the network did not care."""
    from nav_msgs.msg import OccupancyGrid
    from rclpy.qos import DurabilityPolicy, QoSProfile

    from bev_perception.ros.transform_messages import transforms_message

    grids = client.collect("/bev/probability_grid", OccupancyGrid)
    cameras = foreign("hero", defects={Defect.BODY_AXES, Defect.HALF_PIXEL})
    perception(ros_process, fast_weights, rig, "hero", "/carla/hero/{}/camera_info")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    mounting = transforms_message(0, [("hero", "base_link", BASE_T_EGO.inverse())])
    client.publish("/tf_static", mounting, latched)
    ticks.until(lambda: len(grids) > 0, cameras.publish, "a grid")
    assert not same_but_for_rounding(grids[-1], right_grids(None))


def test_corrected_camera_info_has_the_stamps_of_the_images(
    adapter: Callable[..., Any],
    foreign: Callable[..., ForeignCameras],
    ticks: Ticks,
    client: Any,
    rig: Rig,
) -> None:
    from sensor_msgs.msg import CameraInfo

    infos = client.collect("/camera/left/camera_info", CameraInfo)
    cameras, sent = foreign("ego_vehicle", prefix="ego_vehicle/"), []
    adapter("ros_bridge")

    def publish(stamp_ns: int) -> None:
        sent.append(stamp_ns)
        cameras.publish(stamp_ns, MAP_T_BASE)

    ticks.until(lambda: len(infos) > 3, publish, "corrected CameraInfo")
    assert {stamp_of(info) for info in infos.messages} <= set(sent)
    assert infos[0].header.frame_id == "left_optical_frame"
    np.testing.assert_array_equal(infos[0].k.reshape(3, 3), rig["left"].camera.matrix)


def test_cameras_mounted_elsewhere_end_it_with_words(
    adapter: Callable[..., Any], foreign: Callable[..., ForeignCameras], ticks: Ticks, rig: Rig
) -> None:
    turned = RigidTransform.from_euler(yaw=np.radians(7.0))
    cameras = foreign("ego_vehicle", rig.moved(turned), prefix="ego_vehicle/")
    node = adapter("ros_bridge")
    ticks.until(lambda: node.process.poll() is not None, cameras.publish, "the node's end")
    assert node.wait() == 2
    (line,) = [each for each in node.log.splitlines() if each.startswith("carla_adapter_node:")]
    assert "camera 'front' refused: TF has it 7.00 degrees turned" in line
    assert "Traceback" not in node.log


def test_cameras_of_other_ticks_end_it_with_words(
    adapter: Callable[..., Any], foreign: Callable[..., ForeignCameras], ticks: Ticks
) -> None:
    cameras = foreign("ego_vehicle", prefix="ego_vehicle/")
    cameras.offset_ns["rear"] = 10_000_000
    node = adapter("ros_bridge", stamp_tolerance_ms=5.0)
    ticks.until(lambda: node.process.poll() is not None, cameras.publish, "the node's end")
    assert node.wait() == 2
    assert "stamps differ from those of 'front': 'rear' by +10.000 ms" in node.log


def test_cameras_that_change_after_the_check_end_it_with_words(
    adapter: Callable[..., Any], foreign: Callable[..., ForeignCameras], ticks: Ticks, client: Any
) -> None:
    from sensor_msgs.msg import CameraInfo

    infos = client.collect("/camera/left/camera_info", CameraInfo)
    cameras = foreign("hero", defects={Defect.BODY_AXES})
    node = adapter("native")
    ticks.until(lambda: len(infos) > 0, cameras.publish, "corrected CameraInfo")
    cameras.fov_deg = 60.0
    ticks.until(lambda: node.process.poll() is not None, cameras.publish, "the node's end")
    assert node.wait() == 2
    assert "says something else than when it was checked" in node.log


def test_what_does_not_come_is_named(
    adapter: Callable[..., Any], foreign: Callable[..., ForeignCameras], ticks: Ticks
) -> None:
    cameras = foreign("hero")
    node = adapter("native", check_timeout_s=3.0, role_name="other")
    ticks.until(lambda: node.process.poll() is not None, cameras.publish, "the node's end")
    assert node.wait() == 2
    assert "no images on /carla/other/front/image" in node.log
    assert "no CameraInfo on /carla/other/rear/camera_info" in node.log


def test_a_frame_that_tf_does_not_know_is_named(
    adapter: Callable[..., Any], foreign: Callable[..., ForeignCameras], ticks: Ticks
) -> None:
    cameras = foreign("hero")
    node = adapter("native", check_timeout_s=4.0, ego_frame="chassis")
    ticks.until(lambda: node.process.poll() is not None, cameras.publish, "the node's end")
    assert node.wait() == 2
    assert "frame 'chassis' is not in TF" in node.log


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"source": "gazebo"}, "'gazebo' is none of 'ros_bridge', 'native'"),
        ({"ego_position": [1.0]}, r"ego_position of the adapter node: \[1.0\] must be"),
        ({"rig_file": "/nowhere.yaml"}, "/nowhere.yaml"),
    ],
)
def test_parameters_that_make_no_sense_are_one_line_and_exit_code_2(
    adapter: Callable[..., Any], parameters: dict[str, Any], expected: str
) -> None:
    node = adapter(**{"source": "native", **parameters})
    assert node.wait() == 2
    node.wait_for_log(f"carla_adapter_node: error: .*{expected}")


def test_ctrl_c_ends_it_while_it_listens(adapter: Callable[..., Any]) -> None:
    node = adapter("native")
    node.wait_for_log("listening to native")
    assert node.stop() == 0
    assert "Traceback" not in node.log
