# SPDX-License-Identifier: Apache-2.0
"""Every known defect of CARLA's ROS interfaces is named and repaired, everything else refused.

Defects are injected by carla_publishers, with the publishers' own formulas.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bev_perception.geometry import PinholeCamera, Rig, RigCamera, RigidTransform, load_rig
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.resources import config_path

pytest.importorskip("rclpy", reason="the room ros/ is imported, no ROS 2 here")

from carla_publishers import published_lens, published_mounting

from bev_perception.ros.carla_checks import CheckReport, FoundCamera, check_cameras
from bev_perception.ros.carla_defects import SIGNS, Defect
from bev_perception.ros.carla_mounting_check import published_mountings
from bev_perception.ros.carla_stamp_check import check_stamps

TOLERANCE_NS = 50_000_000
STAMPS = [1_000_000_000 + 50_000_000 * index for index in range(5)]
LENS_DEFECTS = (Defect.HALF_PIXEL, Defect.TAN_OF_DEGREES)
MOUNTING_DEFECTS = (Defect.BODY_AXES, Defect.HALVED_ANGLES, *sorted(SIGNS, key=str))


def oblique(largest: float) -> st.SearchStrategy[float]:
    """Far enough from where changing the sign, or halving, changes nothing."""
    return st.builds(math.copysign, st.floats(1.0, largest), st.sampled_from((-1.0, 1.0)))


@st.composite
def mounted_cameras(draw: Any) -> tuple[float, RigCamera, tuple[float, float, float]]:
    """(fov, camera, roll pitch yaw in degrees) of a camera that tells all defects apart."""
    rpy = draw(oblique(179.0)), draw(oblique(79.0)), draw(oblique(179.0))
    place = draw(oblique(3.0)), draw(oblique(3.0)), draw(oblique(3.0))
    fov = draw(st.floats(20.0, 150.0).filter(lambda degrees: abs(math.tan(degrees)) > 1e-2))
    width, height = draw(st.integers(64, 2000)), draw(st.integers(64, 2000))
    body = RigidTransform.from_euler(*np.radians(rpy), translation=place)
    lens = PinholeCamera.from_field_of_view(width, height, fov)
    return fov, RigCamera(lens, body @ BODY_T_OPTICAL, "optical"), rpy


def found_camera(
    entry: RigCamera,
    fov: float,
    rpy: tuple[float, float, float],
    defects: set[Defect] = frozenset(),  # type: ignore[assignment]
) -> FoundCamera:
    return FoundCamera(
        published_lens(entry.camera, fov, defects),
        (entry.camera.width, entry.camera.height),
        "ego/camera",
        published_mounting(entry.base_T_camera.translation, rpy, defects),
        STAMPS,
    )


@settings(max_examples=60, deadline=None)
@given(mounted_cameras(), st.sets(st.sampled_from((*LENS_DEFECTS, *MOUNTING_DEFECTS))))
def test_any_mixture_of_known_defects_is_named_and_nothing_else(
    mounted: tuple[float, RigCamera, tuple[float, float, float]], defects: set[Defect]
) -> None:
    fov, entry, rpy = mounted
    found = {"front": found_camera(entry, fov, rpy, defects)}
    report = check_cameras(Rig({"front": entry}), found, TOLERANCE_NS, mounted_as_rig=True)
    assert report.refusal == ""
    assert set(report.defects("front")) == defects
    for kind in defects:
        assert kind.fault in report.camera_text("front")
        assert kind.correction in report.camera_text("front")


@settings(max_examples=60, deadline=None)
@given(mounted_cameras(), st.sets(st.sampled_from(MOUNTING_DEFECTS)))
def test_what_explains_a_mounting_explains_it_up_to_rounding(
    mounted: tuple[float, RigCamera, tuple[float, float, float]], defects: set[Defect]
) -> None:
    """So the rig file's mounting, published instead, is the true one to a millionth."""
    _, entry, rpy = mounted
    found = published_mounting(entry.base_T_camera.translation, rpy, defects)
    explained = published_mountings(entry.base_T_camera, defects)
    assert any(each.is_close(found, 1e-6, 1e-6) for each in explained)


@settings(max_examples=60, deadline=None)
@given(
    mounted_cameras(),
    st.sets(st.sampled_from((Defect.BODY_AXES, Defect.HALVED_ANGLES))),
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.floats(0.3, 40.0),
)
def test_a_camera_turned_otherwise_is_refused_by_name(
    mounted: tuple[float, RigCamera, tuple[float, float, float]],
    defects: set[Defect],
    axis: tuple[float, float, float],
    angle_deg: float,
) -> None:
    assume(np.linalg.norm(axis) > 0.1)
    fov, entry, rpy = mounted
    turn = Rotation.from_rotvec(np.radians(angle_deg) * np.array(axis) / np.linalg.norm(axis))
    found = found_camera(entry, fov, rpy, defects)
    wrong = RigidTransform(turn.as_matrix(), np.zeros(3)).rotation @ found.base_T_frame.rotation
    found = replace(found, base_T_frame=RigidTransform(wrong, found.base_T_frame.translation))
    report = check_cameras(Rig({"front": entry}), {"front": found}, TOLERANCE_NS)
    assert "camera 'front' refused" in report.refusal


@settings(max_examples=40, deadline=None)
@given(mounted_cameras(), st.floats(0.3, 3.0).filter(lambda factor: abs(factor - 1) > 0.01))
def test_another_focal_length_is_refused_with_the_field_of_view_that_it_has(
    mounted: tuple[float, RigCamera, tuple[float, float, float]], factor: float
) -> None:
    fov, entry, rpy = mounted
    found = found_camera(entry, fov, rpy)
    k = list(found.lens.k)
    k[0] = k[4] = k[0] * factor
    found = replace(found, lens=replace(found.lens, k=k))
    refusal = check_cameras(Rig({"front": entry}), {"front": found}, TOLERANCE_NS).refusal
    other = math.degrees(2 * math.atan(entry.camera.width / (2 * k[0])))
    assert f"a camera with fov {other:.2f} has it" in refusal


def shipped_rig() -> tuple[Rig, dict[str, tuple[float, float, float]]]:
    yaws = {"front": 0.0, "left": 90.0, "rear": 180.0, "right": -90.0}
    rig = load_rig(config_path("rigs/default.yaml"))
    return rig, {name: (0.0, 5.0, yaw) for name, yaw in yaws.items()}


def check_shipped(
    defects: set[Defect], mounted_as_rig: bool = False, **changes: FoundCamera
) -> CheckReport:
    rig, rpy = shipped_rig()
    found = {name: found_camera(rig[name], 100.0, rpy[name], defects) for name in rig}
    return check_cameras(rig, {**found, **changes}, TOLERANCE_NS, mounted_as_rig)


@pytest.mark.parametrize(
    "chosen",
    [
        chosen
        for count in range(4)
        for chosen in combinations((*LENS_DEFECTS, *MOUNTING_DEFECTS[:2]), count)
    ],
    ids=lambda chosen: "-".join(kind.name for kind in chosen) or "none",
)
def test_the_shipped_rig_tells_the_defects_of_releases_apart(chosen: tuple[Defect, ...]) -> None:
    defects = set(chosen)
    report = check_shipped(defects)
    assert report.refusal == ""
    for name in ("front", "left", "rear", "right"):
        assert set(report.defects(name)) == defects


def test_half_of_180_degrees_may_be_either_90_degrees() -> None:
    rig, _ = shipped_rig()
    defects = {Defect.HALVED_ANGLES, Defect.BODY_AXES}
    rear = found_camera(rig["rear"], 100.0, (0.0, 5.0, -180.0), defects)
    assert check_shipped(defects, rear=rear).refusal == ""


def test_an_empty_camera_info_is_filled_from_the_rig_file() -> None:
    report = check_shipped({Defect.NO_CALIBRATION})
    assert report.refusal == ""
    assert report.defects("left") == (Defect.NO_CALIBRATION,)


def test_a_wrong_sign_is_refused_unless_the_mounting_is_known() -> None:
    """TF cannot tell whether the publisher or the one who spawned the cameras is wrong."""
    defects = {Defect.YAW_SIGN, Defect.Y_SIGN}
    refusal = check_shipped(defects).refusal
    assert Defect.YAW_SIGN.fault in refusal
    assert "set mounted_as_rig: true" in refusal
    assert check_shipped(defects, mounted_as_rig=True).refusal == ""


def test_swapped_topics_are_suspected() -> None:
    rig, rpy = shipped_rig()
    left = found_camera(rig["rear"], 100.0, rpy["rear"])
    rear = found_camera(rig["left"], 100.0, rpy["left"])
    refusal = check_shipped(set(), left=left, rear=rear).refusal
    assert "'left' is where the rig file has 'rear': topics may be swapped" in refusal


def test_one_camera_elsewhere_is_refused_and_the_others_are_named_as_they_are() -> None:
    rig, _ = shipped_rig()
    left = found_camera(rig["left"], 100.0, (0.0, 5.0, 80.0))
    report = check_shipped(set(), left=left)
    assert report.camera_text("front") == "camera 'front' is as the rig file declares it"
    assert "camera 'left' refused: TF has it 10.00 degrees turned" in report.refusal


def test_a_shift_of_all_cameras_tells_what_to_change() -> None:
    rig, rpy = shipped_rig()
    moved = rig.moved(RigidTransform(np.eye(3), np.array([0.3, 0.0, 0.0])))
    found = {name: found_camera(moved[name], 100.0, rpy[name]) for name in rig}
    refusal = check_cameras(rig, found, TOLERANCE_NS).refusal
    assert "change ego_position" in refusal
    assert "by (-0.300, -0.000, -0.000)" in refusal


@pytest.mark.parametrize("size", [(640, 480), (448, 672)])
def test_images_and_camera_info_of_another_size_are_refused(size: tuple[int, int]) -> None:
    rig, rpy = shipped_rig()
    front = replace(found_camera(rig["front"], 100.0, rpy["front"]), image_size=size)
    assert f"images have {size[0]}x{size[1]} pixels" in check_shipped(set(), front=front).refusal
    lens = replace(front.lens, width=size[0], height=size[1])
    front = replace(front, image_size=(672, 448), lens=lens)
    assert f"CameraInfo says {size[0]}x{size[1]}" in check_shipped(set(), front=front).refusal


def test_undeclared_distortion_is_refused() -> None:
    rig, rpy = shipped_rig()
    front = found_camera(rig["front"], 100.0, rpy["front"])
    front = replace(front, lens=replace(front.lens, d=[0.1, 0, 0, 0, 0]))
    assert "distortion [0.1, 0, 0, 0, 0]" in check_shipped(set(), front=front).refusal


def test_equal_stamps_are_equal_although_images_were_lost() -> None:
    verdict = check_stamps({"a": STAMPS[:3], "b": STAMPS[1:], "c": STAMPS[2:4]}, TOLERANCE_NS)
    assert verdict.offsets_ns == {"a": 0, "b": 0, "c": 0}
    assert verdict.problem == verdict.warning == ""


def test_cameras_of_other_ticks_are_told_with_their_offset() -> None:
    late = [stamp + 10_000_000 for stamp in STAMPS]
    verdict = check_stamps({"a": STAMPS, "b": late}, TOLERANCE_NS)
    assert verdict.problem == ""
    assert "'b' by +10.000 ms" in verdict.warning
    verdict = check_stamps({"a": STAMPS, "b": late}, 5_000_000)
    assert "'b' by +10.000 ms" in verdict.problem
    assert "sensor_tick" in verdict.problem
