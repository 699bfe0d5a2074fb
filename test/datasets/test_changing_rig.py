# SPDX-License-Identifier: Apache-2.0
"""Bags are read with one rig; what was recorded with another one is left out, and told."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from drive_bags import (
    CAMERA,
    CARS,
    LOWERED,
    PERIOD,
    START,
    Recorded,
    changed,
    told_again,
    with_clouds,
    without,
    write_drive,
    zoom,
)

from bev_perception.bags import BagReader
from bev_perception.bags.compressed_images import image_to_compressed
from bev_perception.bags.imu_messages import imu_to_message
from bev_perception.bags.markers import boxes_to_markers
from bev_perception.bags.poses import transforms_to_message
from bev_perception.bags.typestore import IMU, TF
from bev_perception.cli.bag_view import ViewedBag
from bev_perception.cli.inspection import inspect_bag
from bev_perception.cli.readable_clouds import ReadableClouds
from bev_perception.cli.readable_imu import ReadableImu
from bev_perception.datasets import open_drive
from bev_perception.datasets.preparation import ExtractionSettings, prepare_bag
from bev_perception.errors import BagError
from bev_perception.geometry import PinholeCamera, RigidTransform
from bev_perception.geometry.imu import GRAVITY, ImuSample
from bev_perception.geometry.rig_file import RigFile, RigFileCamera

SETS = 12
TURNED = RigidTransform.from_euler(pitch=np.radians(10.0))
ALL = list(range(SETS))
FRAMES = "front_optical_frame", "left_optical_frame"
TO_SIX = [0, 1, 2, 3, 4, 5]
"""Before the mounting was told again; the last one that is told is used."""


def round_info(message):
    """As one does that sends float32."""
    message.k = message.k.astype(np.float32).astype(np.float64)


def spoil_info(message):
    message.k[0] = float("nan")


def moments_of(bag: Path, **options) -> dict[str, list[int]]:
    """Numbers of the sets of each camera that a reader gives."""
    found = defaultdict(list)
    with BagReader(bag) as reader:
        for frame in reader.camera_frames(**options):
            found[frame.camera].append((frame.stamp_ns - START) // PERIOD)
    return found


@pytest.mark.parametrize(
    ("spoil", "left_out", "told"),
    [
        (lambda messages: messages, {}, ""),
        (changed("/camera/front/camera_info", zoom, *ALL[9:]), {"front": ALL[9:]}, "CameraInfo"),
        (changed("/camera/front/camera_info", zoom, 4, 5), {"front": [4, 5]}, "camera front"),
        (changed("/camera/front/camera_info", spoil_info, 4, 5), {}, ""),
        (changed("/camera/front/camera_info", round_info, 4, 5), {}, ""),
        (told_again(LOWERED, "left_optical_frame"), {"left": TO_SIX}, "'left_optical_frame'"),
        (told_again(LOWERED, "imu_link"), {}, ""),
    ],
    ids=["nothing", "calibration", "and back", "impossible", "rounded", "mounting", "not used"],
)  # fmt: skip
def test_images_of_another_rig_are_left_out(tmp_path, caplog, spoil, left_out, told):
    bag = write_drive(tmp_path / "bag", SETS, spoil=spoil)
    assert moments_of(bag, of_any_rig=True) == {"front": ALL, "left": ALL}
    expected = {
        name: [moment for moment in ALL if moment not in left_out.get(name, ())]
        for name in ("front", "left")
    }
    assert moments_of(bag) == expected
    with caplog.at_level(logging.WARNING), open_drive(bag) as drive:
        for labelled in drive.sets():
            found = labelled.frame_set
            moment = (found.stamp_ns - START) // PERIOD
            assert set(found.frames) == {name for name in expected if moment in expected[name]}
    assert bool(caplog.records) == bool(told)
    assert told in caplog.text
    if told:
        assert str(bag) in caplog.text


@pytest.mark.parametrize(
    ("told", "later"),
    [
        (RigFileCamera(), []),
        (RigFileCamera(frame_id="front_optical_frame"), ALL[4:]),
        (RigFileCamera(base_T_camera=TURNED), ALL[4:]),
    ],
    ids=["nothing", "frame", "mounting"],
)
def test_a_frame_that_a_rig_file_gives_may_change_in_camera_info(tmp_path, told, later):
    def rename(message):
        message.header.frame_id = "left_optical_frame"

    spoil = changed("/camera/front/camera_info", rename, *ALL[4:])
    bag = write_drive(tmp_path / "bag", SETS, spoil=spoil)
    with BagReader(bag, RigFile("base_link", {"front": told})) as reader:
        given = [(frame.stamp_ns - START) // PERIOD for frame in reader.camera_frames()]
    assert given == [*ALL[:4], *later]


def test_a_bag_whose_images_are_all_of_another_rig_is_refused_with_the_reason(tmp_path):
    """The mountings were told after the last image."""

    def spoil(messages):
        after = messages[-1].log_ns + PERIOD
        told = [("base_link", frame, LOWERED) for frame in FRAMES]
        return [*messages, Recorded("/tf_static", TF, after, transforms_to_message(after, told))]

    bag = write_drive(tmp_path / "bag", 3, spoil=spoil)
    assert moments_of(bag, of_any_rig=True) == {"front": [0, 1, 2], "left": [0, 1, 2]}
    with pytest.raises(BagError, match=r"all 6 images were .* 'left_optical_frame' in different"):
        moments_of(bag)
    with open_drive(bag) as drive, pytest.raises(BagError, match="another rig than"):
        list(drive.sets())


def test_who_has_images_of_another_calibration_alone_is_told_to_give_intrinsics(tmp_path):
    """The first CameraInfo is another one, and no image belongs to it."""

    def spoil(messages):
        messages = [each for each in messages if "left" not in each.topic]
        messages = changed("/camera/front/camera_info", zoom, *ALL[1:])(messages)
        return without("/camera/front/image_raw", 0)(messages)

    bag = write_drive(tmp_path / "bag", 4, spoil=spoil)
    with pytest.raises(BagError, match=r"all 3 images were .* cameras' intrinsics or"):
        moments_of(bag)
    given = RigFile("base_link", {"front": RigFileCamera(camera=CAMERA)})
    with BagReader(bag, given) as reader:
        assert len(list(reader.camera_frames())) == 3


@pytest.mark.parametrize(
    ("spoil", "camera", "sets"),
    [
        (changed("/camera/front/camera_info", zoom, *ALL[9:]), "front", 3),
        (told_again(LOWERED, "left_optical_frame"), "left", 6),
    ],
    ids=["calibration", "mounting"],
)
def test_who_inspects_a_bag_is_told_what_is_left_out(tmp_path, spoil, camera, sets):
    """No camera had a gap."""
    bag = write_drive(tmp_path / "bag", SETS, spoil=spoil)
    with BagReader(bag) as reader:
        findings = inspect_bag(reader, lambda frame_set: None).findings
        (sentence,) = reader.rig_changes.sentences()
    assert sentence in findings
    assert sum("/tf_static" in finding for finding in findings) == (camera == "left")
    (missing,) = [finding for finding in findings if "missing" in finding]
    assert missing.startswith(f"camera {camera} is missing in {sets} of {SETS} sets; its images of")


def test_who_inspects_a_bag_without_sets_is_told_what_is_left_out_before_clocks(tmp_path):
    def spoil(messages):
        zoomed = changed("/camera/front/camera_info", zoom, *ALL[6:])(messages)
        return told_again(LOWERED, "left_optical_frame")(zoomed)

    with BagReader(write_drive(tmp_path / "bag", SETS, spoil=spoil)) as reader:
        *found, last = inspect_bag(reader, lambda frame_set: None).findings
        assert set(reader.rig_changes.sentences()) <= set(found)
    assert "no two cameras have images within 50 ms" in last


def test_who_views_a_bag_sees_all_images_that_have_the_size_of_the_first_calibration(tmp_path):
    small = PinholeCamera.from_field_of_view(48, 32, 100.0)

    def resize(message):
        message.data = image_to_compressed(np.zeros((32, 48, 3), np.uint8), 0, "", 90).data

    def tell(message):
        message.width, message.height, message.k = small.width, small.height, small.matrix.ravel()

    def resized(messages):
        return changed("/camera/front/image_raw", resize, *ALL[4:])(messages)

    def resized_and_told(messages):
        return changed("/camera/front/camera_info", tell, *ALL[4:])(resized(messages))

    view, warnings = Mock(), []
    bag = write_drive(tmp_path / "told", SETS, spoil=resized_and_told)
    with ViewedBag(bag, "bev", None, None, warnings.append) as viewed:
        viewed.show(view, lambda frames: frames)
    cameras = Counter(call.args[0].camera for call in view.image.call_args_list)
    assert cameras == {"front": 4, "left": SETS}
    changes, left_out = warnings
    assert "camera front: its CameraInfo changes" in changes
    assert "camera front: images are left out, the first one because" in left_out

    bag = write_drive(tmp_path / "not told", SETS, spoil=resized)
    with (
        ViewedBag(bag, "bev", None, None, warnings.append) as viewed,
        pytest.raises(BagError, match="image is 48x32"),
    ):
        viewed.show(view, lambda frames: frames)


def test_clouds_of_another_mounting_are_left_out(tmp_path):
    def spoil(messages):
        return told_again(LOWERED, "imu_link")(with_clouds({"/lidar/points": []})(messages))

    bag = write_drive(tmp_path / "bag", SETS, spoil=spoil)
    with BagReader(bag) as reader:
        there = [reader.points(START + moment * PERIOD) is not None for moment in ALL]
        (sentence,) = reader.rig_changes.sentences()
    assert there == [moment not in TO_SIX for moment in ALL]
    assert "'imu_link'" in sentence
    assert moments_of(bag) == {"front": ALL, "left": ALL}


def test_who_misses_a_cloud_is_told_that_its_sensor_may_have_been_elsewhere(tmp_path):
    def spoil(messages):
        return told_again(LOWERED, "imu_link")(with_clouds({"/lidar/points": []})(messages))

    bag = write_drive(tmp_path / "bag", SETS, spoil=spoil)
    with BagReader(bag) as reader:
        clouds = ReadableClouds(reader, "lidar", "the network answered from images alone")
        assert clouds(START) is None
    (sentence,) = clouds.findings
    assert "mounted elsewhere" in sentence
    settings = ExtractionSettings((32, 48), points=True)
    with pytest.raises(BagError, match=r"without LiDAR points, .* mounted elsewhere"):
        prepare_bag(bag, tmp_path / "prepared", settings)


def test_labels_in_a_frame_that_lay_elsewhere_are_left_out(tmp_path):
    """The boxes would lie where the LiDAR is now, which did not see them from there."""

    def spoil(messages):
        told = (boxes_to_markers(each.log_ns, "imu_link", CARS) for each in messages)
        messages = [
            each._replace(message=markers) if "objects" in each.topic else each
            for each, markers in zip(messages, told)
        ]
        return told_again(LOWERED, "imu_link")(messages)

    bag = write_drive(tmp_path / "bag", SETS, spoil=spoil)
    with BagReader(bag) as reader:
        there = [reader.objects(START + moment * PERIOD) for moment in ALL]
        (sentence,) = reader.rig_changes.sentences()
    assert [boxes is not None for boxes in there] == [moment not in TO_SIX for moment in ALL]
    assert np.allclose(there[6][0].center, LOWERED.apply(CARS[0].center), atol=1e-6)
    assert "'imu_link'" in sentence
    assert moments_of(bag) == {"front": ALL, "left": ALL}
    with open_drive(bag) as drive:
        assert [(found.frame_set.stamp_ns - START) // PERIOD for found in drive.sets()] == ALL[6:]


def with_imu(messages):
    """Of a vehicle that stands level, at 100 Hz."""
    level = ImuSample(0, "imu_link", np.zeros(3), np.array([0.0, 0.0, GRAVITY]))
    added = []
    for each in messages:
        for part in range(10 if each.topic == "/tf" else 0):
            stamp_ns = each.log_ns + part * PERIOD // 10
            message = imu_to_message(replace(level, stamp_ns=stamp_ns))
            added.append(Recorded("/imu", IMU, stamp_ns, message))
    return sorted([*messages, *added], key=lambda each: each.log_ns)


def test_an_imu_that_was_turned_later_levels_nothing_with_its_last_mounting(tmp_path):
    """What it said before would lean by the turn."""
    sets = 40

    def spoil(messages):
        after = START + (sets - 1) * PERIOD
        told = transforms_to_message(after, [("base_link", "imu_link", TURNED)])
        return with_imu([*messages, Recorded("/tf_static", TF, after, told)])

    pitches, refused = {}, {}
    for name, change in (("as it was", with_imu), ("turned", spoil)):
        bag = write_drive(tmp_path / name, sets, spoil=change, step_m=0.0)
        with BagReader(bag) as reader:
            imu = ReadableImu(reader)
            stamps = [START + number * PERIOD for number in range(sets - 1)]
            poses = [imu(stamp, reader.world_T_base(stamp))[0] for stamp in stamps]
        pitches[name] = np.degrees([np.arcsin(-pose.rotation[2, 0]) for pose in poses])
        refused[name] = [sentence for sentence in imu.findings if "refused" in sentence]
    assert np.abs(pitches["as it was"]).max() < 0.1
    assert np.abs(pitches["turned"]).max() < 0.1
    assert not refused["as it was"]
    (sentence,) = refused["turned"]
    assert "'imu_link' lay elsewhere" in sentence
