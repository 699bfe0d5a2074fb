# SPDX-License-Identifier: Apache-2.0
"""Cameras, frames and labels are found by convention, and a rig file overrides any of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bev_perception.bags import BagReader
from bev_perception.bags.camera_info import camera_to_message
from bev_perception.bags.discovery import camera_names
from bev_perception.bags.images import image_to_message
from bev_perception.bags.poses import odometry_to_message, transforms_to_message
from bev_perception.bags.typestore import CAMERA_INFO, IMAGE, ODOMETRY, TF
from bev_perception.errors import BagError
from bev_perception.geometry import PinholeCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.rig_file import RigFile, RigFileCamera

SECOND = 1_000_000_000
CAMERA = PinholeCamera.from_field_of_view(8, 6, 90.0)
MOUNT = RigidTransform.from_euler(translation=(1.5, 0.0, 1.6)) @ BODY_T_OPTICAL
WriteBag = Callable[..., Path]


def camera(base: str, frame: str, name: str = "image_raw", stamp: int = SECOND) -> list[tuple]:
    """An image and its CameraInfo."""
    pixels = np.zeros((6, 8, 3), dtype=np.uint8)
    return [
        (f"{base}/{name}", IMAGE, stamp, image_to_message(pixels, stamp, frame)),
        (f"{base}/camera_info", CAMERA_INFO, stamp, camera_to_message(CAMERA, stamp, frame)),
    ]


def tf(topic: str, stamp: int, *transforms: tuple) -> tuple:
    return topic, TF, stamp, transforms_to_message(stamp, transforms)


@pytest.mark.parametrize(
    ("bases", "names"),
    [
        (["/camera/front", "/camera/left"], ["front", "left"]),
        (["/front/camera", "/left/camera"], ["front", "left"]),
        (["/carla/hero/rgb_front", "/carla/hero/rgb_left"], ["rgb_front", "rgb_left"]),
        (
            ["/car/front/near", "/car/front/far", "/car/left/near"],
            ["front_near", "front_far", "left_near"],
        ),
        (["/camera"], ["camera"]),
        (["/sensors/camera/front"], ["front"]),
        (["/front/camera/color"], ["front"]),
        (["/a", "/a/b"], ["a", "a_b"]),
    ],
)
def test_cameras_are_named_by_what_tells_their_topics_apart(
    bases: list[str], names: list[str]
) -> None:
    assert camera_names(bases) == names


def test_carla_ros_bridge_is_found_with_its_moving_mounts(raw_bag: WriteBag) -> None:
    frame = "ego_vehicle/rgb_front"
    messages = camera("/carla/ego_vehicle/rgb_front", frame, "image", SECOND + SECOND // 2)
    messages += camera("/carla/ego_vehicle/depth_front", "ego_vehicle/depth_front", "image")
    for stamp in (SECOND, 2 * SECOND):
        pose = RigidTransform.from_euler(yaw=0.2, translation=(stamp / 1e9, 0.0, 0.0))
        messages.append(
            tf("/tf", stamp, ("map", "ego_vehicle", pose), ("ego_vehicle", frame, MOUNT))
        )
    with BagReader(raw_bag(messages)) as reader:
        assert reader.base_frame == "ego_vehicle"
        rig = reader.rig()
        assert rig.names == ("rgb_front",)
        assert rig["rgb_front"].base_T_camera.is_close(MOUNT)
        pose = reader.world_T_base(SECOND + SECOND // 2)
    assert pose is not None
    assert pose.translation[0] == pytest.approx(1.5)


@pytest.mark.parametrize("is_given_too", [True, False])
def test_camera_info_that_the_adapter_corrected_wins(raw_bag: WriteBag, is_given_too: bool) -> None:
    wrong, right = camera("/carla/hero/left", "left"), camera("/camera/left", "left_optical_frame")
    messages = [wrong[0], right[1], *([wrong[1]] if is_given_too else [])]
    messages.append(tf("/tf", SECOND, ("base_link", "left", RigidTransform.identity())))
    messages.append(tf("/tf_static", SECOND, ("base_link", "left_optical_frame", MOUNT)))
    with BagReader(raw_bag(messages)) as reader:
        (mounted,) = reader.rig().cameras.values()
    assert mounted.base_T_camera.is_close(MOUNT)


def test_another_role_name_is_found_by_the_frames_below_it(raw_bag: WriteBag) -> None:
    messages = camera("/carla/hero/rgb", "hero/rgb", "image")
    messages.append(tf("/tf", SECOND, ("map", "hero", MOUNT), ("hero", "hero/rgb", MOUNT)))
    with BagReader(raw_bag(messages)) as reader:
        assert reader.base_frame == "hero"
        assert reader.rig().names == ("hero",)  # rgb alone tells nothing


def test_no_vehicle_frame_lists_the_frames(raw_bag: WriteBag) -> None:
    messages = [*camera("/front", "cam"), tf("/tf_static", SECOND, ("chassis", "cam", MOUNT))]
    path = raw_bag(messages)
    with BagReader(path) as reader, pytest.raises(BagError, match=r"base_link.*cam, chassis.*rig"):
        reader.rig()
    with BagReader(path, RigFile("chassis", {"front": RigFileCamera()})) as reader:
        assert reader.rig()["front"].base_T_camera.is_close(MOUNT)


def test_static_transforms_recorded_last_hold_from_the_start(raw_bag: WriteBag) -> None:
    messages = [
        *camera("/camera/front", "/front_frame"),
        tf("/tf_static", 9 * SECOND, ("/base_link", "/front_frame", MOUNT)),
    ]
    with BagReader(raw_bag(messages)) as reader:
        assert reader.rig()["front"].base_T_camera.is_close(MOUNT)
        assert reader.rig()["front"].frame_id == "front_frame"


def test_odometry_stands_in_for_a_missing_transform_but_never_beside_one(
    raw_bag: WriteBag,
) -> None:
    near = RigidTransform.from_euler(translation=(1.0, 2.0, 0.0))
    far = RigidTransform.from_euler(translation=(7.0, 8.0, 0.0))
    odometry = ("/odom", ODOMETRY, SECOND, odometry_to_message(SECOND, "odom", "base_link", near))
    with BagReader(raw_bag([odometry], name="odometry")) as reader:
        pose = reader.world_T_base(SECOND)
        assert pose is not None
        assert pose.is_close(near)
    both = [odometry, tf("/tf", SECOND, ("map", "base_link", far))]
    with BagReader(raw_bag(both, name="both")) as reader:
        pose = reader.world_T_base(SECOND)
        assert pose is not None
        assert pose.is_close(far)


def test_odom_is_the_world_where_map_does_not_connect_at_that_time(raw_bag: WriteBag) -> None:
    one = RigidTransform.from_euler(translation=(1.0, 0.0, 0.0))
    messages = [tf("/tf", stamp, ("odom", "base_link", one)) for stamp in (SECOND, 3 * SECOND)]
    messages += [tf("/tf", stamp, ("map", "odom", one)) for stamp in (2 * SECOND, 3 * SECOND)]
    with BagReader(raw_bag(messages)) as reader:
        early, late = reader.world_T_base(SECOND), reader.world_T_base(2 * SECOND)
        frames = [reader.world_frame(second * SECOND) for second in (0, 1, 2, 3, 4)]
    assert frames == ["", "odom", "map", "map", ""]
    assert early is not None
    assert late is not None
    assert (early.translation[0], late.translation[0]) == (1.0, 2.0)


def test_raw_images_are_preferred_and_each_camera_counts_once(raw_bag: WriteBag) -> None:
    messages = [
        *camera("/camera/front", "front"),
        camera("/camera/front", "front", "image_rect")[0],
        tf("/tf_static", SECOND, ("base_link", "front", MOUNT)),
    ]
    with BagReader(raw_bag(messages)) as reader:
        assert reader.camera_topics["front"].image_topic == "/camera/front/image_raw"
        assert len(reader.rig()) == 1


def test_a_rig_file_names_topics_order_frames_and_calibrations(raw_bag: WriteBag) -> None:
    messages = [
        *camera("/camera/front", "front"),
        *camera("/rear/video", "rear", "stream"),
        tf("/tf_static", SECOND, ("base_link", "front", MOUNT), ("base_link", "true_rear", MOUNT)),
    ]
    other = PinholeCamera.from_field_of_view(8, 6, 60.0)
    rig_file = RigFile(
        "base_link",
        {
            "back": RigFileCamera("/rear/video/stream", frame_id="true_rear", camera=other),
            "front": RigFileCamera(),
        },
    )
    with BagReader(raw_bag(messages), rig_file) as reader:
        rig = reader.rig()
        assert [frame.camera for frame in reader.camera_frames()] == ["front", "back"]
    assert rig.names == ("back", "front")
    assert rig["back"].camera.fx == pytest.approx(other.fx)
    assert rig["back"].frame_id == "true_rear"
    assert rig["front"].camera.fx == pytest.approx(CAMERA.fx)


def test_only_the_cameras_asked_for_are_read(drive: Path) -> None:
    with BagReader(drive) as reader:
        assert {frame.camera for frame in reader.camera_frames(["left"])} == {"left"}
