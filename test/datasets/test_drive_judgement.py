# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a drive is cut out and told, or the drive is refused, before it is written."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from drive_bags import (
    CARS,
    LOWERED,
    PERIOD,
    START,
    Recorded,
    changed,
    told_again,
    without,
    write_drive,
    zoom,
)

from bev_perception.bags.compressed_images import image_to_compressed
from bev_perception.bags.markers import boxes_to_markers
from bev_perception.datasets import ShardReader
from bev_perception.datasets.extraction import DataSetPlan, extract_bags
from bev_perception.datasets.shard_settings import ShardSettings
from bev_perception.errors import DatasetError
from bev_perception.geometry import RigidTransform

SETS = 12


def extracted(tmp_path: Path, spoil, **settings) -> dict:
    """The manifest's entry of a spoiled drive."""
    step_m = settings.pop("step_m", 0.5)
    bag = write_drive(tmp_path / "bag", SETS, spoil=spoil, step_m=step_m)
    plan = DataSetPlan(tmp_path / "out", ShardSettings(**settings), processes=1)
    (drive,) = extract_bags([bag], plan)["drives"]
    return drive


def shift_stamps(message, shift_ns: int) -> None:
    stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec + shift_ns
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)


def delay(message) -> None:
    shift_stamps(message, 70_000_000)


def blacken(message) -> None:
    message.data = image_to_compressed(np.zeros((64, 96, 3), np.uint8), 0, "", 90).data


def cut_off(message) -> None:
    message.data = message.data[: len(message.data) // 2]


def damage_png(message) -> None:
    """A byte in the middle of a whole PNG."""
    png = cv2.imencode(".png", cv2.imdecode(message.data, cv2.IMREAD_COLOR))[1].reshape(-1)
    png[len(png) // 2] ^= 0x55
    message.data, message.format = png, "rgb8; png compressed bgr8"


def scramble(message) -> None:
    """A JPEG's beginning, size and end, with noise between: only decoding tells."""
    noise = np.random.default_rng(1).integers(0, 0xFF, 4000, dtype=np.uint8).tobytes()
    begin = b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, 64, 96, 3)
    message.data = np.frombuffer(begin + noise + b"\xff\xd9", np.uint8)


def spoil_label(message) -> None:
    message.markers[2].pose.position.x = float("nan")


def see_too_much(message) -> None:
    message.markers[1].text = "visibility=7.0"


def fly_away(message) -> None:
    message.markers[1].text = "vx=inf"


NOISE = RigidTransform.from_euler(yaw=1e-5, translation=(1e-6, 1e-5, -1e-5))


def turn_labels_round(messages: list[Recorded]) -> list[Recorded]:
    """Boxes behind the vehicle, where no camera looks, said to be visible."""
    turn = RigidTransform.from_euler(yaw=np.radians(225.0))
    boxes = [box.transformed(turn) for box in CARS]
    return [
        each._replace(message=boxes_to_markers(each.log_ns, "base_link", boxes))
        if "objects" in each.topic and each.moment in (6, 7)
        else each
        for each in messages
    ]


def clock_set_back(messages: list[Recorded]) -> list[Recorded]:
    """From the sixth set on, stamps begin at the second again: sets 2 to 5 came twice."""
    for each in messages:
        if each.moment >= 6 and hasattr(each.message, "header"):
            shift_stamps(each.message, -4 * PERIOD)
    return messages


@pytest.mark.parametrize(
    ("spoil", "cause", "sets"),
    [
        (without("/camera/left/image", 3, 4), "camera missing", 2),
        (changed("/camera/left/image", blacken, 5), "unusable image", 1),
        (changed("/camera/front/image", cut_off, 5), "unusable image", 1),
        (changed("/camera/front/image", delay, 2), "camera missing", 2),
        (changed("/camera/front/image", damage_png, 5), "unusable image", 1),
        (changed("/camera/front/camera_info", zoom, 9, 10, 11), "calibration changed", 3),
        (changed("/camera/front/camera_info", zoom, 4, 5), "calibration changed", 2),
        (told_again(LOWERED, "left_optical_frame"), "mounting changed", 6),
        (without("objects", 2), "no labels", 1),
        (changed("objects", spoil_label, 7), "bad labels", 1),
        (changed("objects", see_too_much, 7), "bad labels", 1),
        (changed("objects", fly_away, 7), "bad labels", 1),
        (turn_labels_round, "boxes do not project", 2),
        (without("/tf", 11), "no ego pose", 1),
    ],
)  # fmt: skip
def test_bad_spans_are_cut_out_and_listed(tmp_path, spoil, cause, sets):
    drive = extracted(tmp_path, spoil, min_distance_m=0.0)
    assert drive["verdict"] == "cut"
    found = [(cut["cause"], cut["sets"]) for cut in drive["cuts"]]
    assert (cause, sets) in found
    bad = sum(cut["sets"] for cut in drive["cuts"])
    assert drive["sets"] == drive["seen"] - bad
    assert drive["seen"] - SETS in (0, 1)  # an image of its own time is a set of its own
    kept = [
        labelled.frame_set.stamp_ns for labelled in ShardReader(tmp_path / "out").drives[0].sets()
    ]
    (cut,) = [cut for cut in drive["cuts"] if cut["cause"] == cause][:1]
    assert not any(cut["first_ns"] <= stamp <= cut["last_ns"] for stamp in kept)
    assert cause in (tmp_path / "out/report.html").read_text()


def test_an_image_that_comes_after_the_first_of_its_set_is_judged_by_its_own_time(tmp_path):
    """Its calibration changes with it, 20 ms after the other camera's image."""

    def late(messages: list[Recorded]) -> list[Recorded]:
        for each in changed("/camera/left/camera_info", zoom, 9, 10, 11)(messages):
            if "/camera/left" in each.topic:
                shift_stamps(each.message, 20_000_000)
        return messages

    (cut,) = extracted(tmp_path, late, min_distance_m=0.0)["cuts"]
    assert (cut["cause"], cut["sets"]) == ("calibration changed", 3)


@pytest.mark.parametrize(
    ("change", "frame"), [(NOISE, "left_optical_frame"), (LOWERED, "imu_link")]
)
def test_a_mounting_told_again_or_of_nothing_that_is_used_changes_nothing(tmp_path, change, frame):
    drive = extracted(tmp_path, told_again(change, frame), min_distance_m=0.0)
    assert (drive["verdict"], drive["notes"], drive["sets"]) == ("good", [], SETS)


def test_two_mountings_told_before_the_first_image_are_noted(tmp_path):
    def spoil(messages: list[Recorded]) -> list[Recorded]:
        return [each._replace(log_ns=START) if each.topic == "/tf_static" else each
                for each in told_again(LOWERED, "left_optical_frame")(messages)]  # fmt: skip

    drive = extracted(tmp_path, spoil, min_distance_m=0.0)
    assert (drive["verdict"], drive["sets"]) == ("fair", SETS)
    assert "'base_link' -> 'left_optical_frame' in different ways" in drive["notes"][0]


def test_time_that_ran_twice_is_cut_out_both_times(tmp_path):
    drive = extracted(tmp_path, clock_set_back, min_distance_m=0.0)
    assert [(cut["cause"], cut["sets"]) for cut in drive["cuts"]] == [("clock jump", 8)]
    (reader,) = ShardReader(tmp_path / "out").drives
    kept = [(each.frame_set.stamp_ns - START) // PERIOD for each in reader.sets()]
    assert kept == [0, 1, 6, 7]


def test_a_gap_is_told_and_begins_a_new_segment(tmp_path):
    drive = extracted(tmp_path, without("", 4, 5, 6, 7), min_distance_m=0.0)
    assert (drive["verdict"], drive["reason"]) == ("fair", "1 gaps")
    assert [cut["cause"] for cut in drive["cuts"]] == ["gap"]
    assert drive["cuts"][0]["from_s"] == pytest.approx(0.3)
    assert drive["cuts"][0]["to_s"] == pytest.approx(0.8)
    assert drive["segments"] == 2
    assert drive["sets"] == 8


def test_fewer_cameras_are_enough_where_they_are_asked_for(tmp_path):
    drive = extracted(
        tmp_path, without("/camera/left/image", 3, 4), min_cameras=1, min_distance_m=0
    )
    assert drive["sets"] == SETS
    sets = list(ShardReader(tmp_path / "out").drives[0].sets())
    assert sets[3].frame_set.missing == ("left",)


def test_a_standing_vehicle_is_seen_once_and_then_now_and_then(tmp_path):
    drive = extracted(
        tmp_path, lambda m: m, step_m=0.001, min_distance_m=0.2, standing_interval_s=0.5
    )
    assert drive["verdict"] == "good"
    assert drive["standing"] == SETS - drive["sets"]
    sets = ShardReader(tmp_path / "out").drives[0].sets()
    assert [(each.frame_set.stamp_ns - START) // PERIOD for each in sets] == [0, 5, 10]


def test_distance_driven_decides_what_is_kept(tmp_path):
    drive = extracted(tmp_path, lambda m: m, min_distance_m=1.4, standing_interval_s=0.0)
    assert drive["sets"] == 4  # half a metre a set: every third
    assert drive["distance_m"] == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (without("/tf_static"), "record /tf_static"),
        (without("objects"), "no labels at all"),
        (without("/camera/left/camera_info"), "no CameraInfo"),
        (changed("objects", spoil_label, *range(SETS)), "bad labels"),
    ],
)
def test_a_drive_of_which_nothing_is_fit_is_refused_with_its_reason(tmp_path, spoil, reason):
    good = write_drive(tmp_path / "good", 3)
    bad = write_drive(tmp_path / "bad", SETS, spoil=spoil)
    with pytest.raises(DatasetError, match="none of 1 drives is fit"):
        extract_bags([bad], DataSetPlan(tmp_path / "alone", processes=1))
    assert not (tmp_path / "alone/manifest.json").exists()
    manifest = extract_bags([good, bad], DataSetPlan(tmp_path / "both", processes=1))
    verdicts = {drive["name"]: drive for drive in manifest["drives"]}
    assert verdicts["good"]["verdict"] == "good"
    assert verdicts["bad"]["verdict"] == "refused"
    assert reason in verdicts["bad"]["reason"]
    assert reason in (tmp_path / "both/report.html").read_text()
    assert [drive.name for drive in ShardReader(tmp_path / "both").drives] == ["good"]
    assert json.loads((tmp_path / "both/card.json").read_text())["drives_refused"] == ["bad"]


def test_a_bag_that_was_cut_off_is_refused(tmp_path):
    good, bad = write_drive(tmp_path / "good", 3), write_drive(tmp_path / "bad", 3)
    (file,) = bad.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-3000])
    manifest = extract_bags([good, bad], DataSetPlan(tmp_path / "out", processes=1))
    assert [drive["verdict"] for drive in manifest["drives"]] == ["good", "refused"]
    assert "cannot be read as a ROS 2 bag" in manifest["drives"][1]["reason"]


def test_a_drive_whose_images_turn_out_not_to_decode_is_refused_and_others_go_on(tmp_path):
    spoil = changed("/camera/front/image", scramble, *range(SETS))
    bad, good = write_drive(tmp_path / "bad", SETS, spoil=spoil), write_drive(tmp_path / "good", 3)
    manifest = extract_bags([bad, good], DataSetPlan(tmp_path / "out", processes=1))
    assert [drive["verdict"] for drive in manifest["drives"]] == ["refused", "good"]
    assert "does not decode" in manifest["drives"][0]["reason"]
