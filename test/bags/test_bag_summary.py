# SPDX-License-Identifier: Apache-2.0
"""The summary of a bag tells rates, gaps, clocks and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bev_perception.bags import BagReader
from bev_perception.bags.camera_info import camera_to_message
from bev_perception.bags.images import image_to_message
from bev_perception.bags.poses import transforms_to_message
from bev_perception.bags.static_changes import is_other_place
from bev_perception.bags.typestore import CAMERA_INFO, IMAGE, TF
from bev_perception.geometry import PinholeCamera, RigidTransform

SECOND = 1_000_000_000
CAMERA = PinholeCamera.from_intrinsics(8, 6, 4.0, 4.0, 30.0, 2.5)


def test_a_healthy_bag(drive: Path) -> None:
    with BagReader(drive) as reader:
        summary = reader.summary()
    assert (summary.storage, summary.base_frame) == ("mcap", "base_link")
    assert (summary.labels_topic, summary.num_labels) == ("/ground_truth/objects", 5)
    assert summary.duration_s == pytest.approx(0.403)
    assert summary.problems == ()
    topics = {topic.name: topic for topic in summary.topics}
    front = topics["/camera/front/image_raw"]
    assert (front.count, front.msgtype) == (5, "sensor_msgs/msg/Image")
    assert front.rate_hz == pytest.approx(10.0)
    assert front.largest_gap_s == pytest.approx(0.1)
    assert front.first_stamp_ns == 100 * SECOND
    assert front.clock_offset_s == 0.0
    assert topics["/tf_static"].count == 1
    assert [(c.name, c.encoding, c.image_size, c.frame_id) for c in summary.cameras] == [
        ("front", "rgb8", (32, 24), "front_optical_frame"),
        ("left", "rgb8", (40, 20), "left_optical_frame"),
    ]
    assert ("map", "base_link", False, 5) in summary.tf_edges
    assert ("base_link", "left_optical_frame", True, 1) in summary.tf_edges


def test_gaps_other_clocks_and_doubtful_calibrations_are_told(
    raw_bag: Callable[..., Path],
) -> None:
    pixels = np.zeros((3, 4, 3), dtype=np.uint8)
    messages = []
    for tenth in (0, 1, 2, 3, 4, 14, 15):
        stamp = SECOND + tenth * SECOND // 10
        message = image_to_message(pixels, stamp, "other_frame")
        messages.append(("/cam/front/image_raw", IMAGE, stamp + 100 * SECOND, message))
        info = camera_to_message(CAMERA, stamp, "front_frame")
        info.k[0] += tenth > 3
        messages.append(("/cam/front/camera_info", CAMERA_INFO, stamp + 100 * SECOND, info))
    with BagReader(raw_bag(messages)) as reader:
        problems = "\n".join(reader.summary().problems)
    assert (
        "/cam/front/image_raw pauses for 1.00 s; usually an image comes every 0.100 s" in problems
    )
    assert "recorded +100.0 s after its stamps" in problems
    assert "principal point (30, 2) is far from the middle of 8x6" in problems
    assert "image is 4x3 but its calibration" in problems
    assert "camera_info changes 1 times" in problems
    assert "is in frame 'other_frame' but its CameraInfo in 'front_frame'" in problems
    assert "no transform from its frame 'front_frame'" in problems


def test_a_bag_without_cameras_is_summarised_too(raw_bag: Callable[..., Path]) -> None:
    with BagReader(raw_bag([])) as reader:
        summary = reader.summary()
    assert summary.message_count == 0
    assert summary.problems == ("no camera topics were found",)


@pytest.mark.parametrize(("pitches", "is_told"), [((0, 0, 0.02, 0.020001), True), ((0, 0), False)])
def test_a_static_transform_that_changes_is_told(
    raw_bag: Callable[..., Path], pitches: tuple[float, ...], is_told: bool
) -> None:
    messages = []
    for number, pitch in enumerate(pitches, 1):
        edge = "base_link", "camera", RigidTransform.from_euler(pitch=pitch)
        messages.append(("/tf_static", TF, number, transforms_to_message(number, [edge])))
    with BagReader(raw_bag(messages)) as reader:
        problems = "\n".join(reader.summary().problems)
    assert ("/tf_static tells 'base_link' -> 'camera' in different ways" in problems) == is_told


def test_other_places_are_told_from_rounded_ones() -> None:
    random = np.random.default_rng(2)
    for _ in range(50):
        axis, place = random.normal(size=3), random.uniform(-3, 3, 3)
        pose = RigidTransform.from_euler(*random.uniform(-1.5, 1.5, 3), translation=place)
        numbers = np.concatenate([pose.translation, pose.quaternion])
        turn = np.concatenate([0.5 * axis / np.linalg.norm(axis), [0.0]])  # per radian
        turned = [
            pose @ RigidTransform.from_quaternion((angle * turn + [0, 0, 0, 1]), (0, 0, 0))
            for angle in (0.0003, 0.0008)
        ]
        same = [numbers, [*place, *-pose.quaternion], numbers.round(4), numbers.astype(np.float32),
                [*place, *turned[0].quaternion]]  # fmt: skip
        other = [[*(place + 0.002 * axis / np.linalg.norm(axis)), *pose.quaternion],
                 [*place, *turned[1].quaternion]]  # fmt: skip
        assert not is_other_place(same, numbers).any()
        assert is_other_place(other, numbers).all()
