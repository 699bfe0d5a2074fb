# SPDX-License-Identifier: Apache-2.0
"""Each error that is injected into a healthy recording is found, and nothing else is."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from injected_recordings import (
    SECOND,
    START_NS,
    TO_BODY,
    UP_20,
    calibrated,
    driven,
    edited,
    known,
    mounted,
    own,
    turned,
    with_lens,
)
from scipy.spatial.transform import Rotation

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.headers import stamp_ns
from bev_perception.bags.typestore import decode_message
from bev_perception.doctor.bag_observation import observe_bag
from bev_perception.doctor.checks import RECORDING_CHECKS
from bev_perception.doctor.collector import READ_TYPES, Collector
from bev_perception.doctor.examination import Examination, examine
from bev_perception.doctor.finding import Severity
from bev_perception.faults import Delivery, Injection, Kind, inject_into_bag
from bev_perception.faults.message_edits import restamped
from bev_perception.geometry.carla_focal import tan_of_degrees
from bev_perception.geometry.frames import OPTICAL_T_BODY

MIDDLE_NS = START_NS + 4 * SECOND
FRONT, LEFT, RIGHT = "front_optical_frame", "left_optical_frame", "right_optical_frame"
ERROR, WARNING = Severity.ERROR, Severity.WARNING
EVERY = ("front", "left", "rear", "right")


def shifted(seconds: Callable[[float], float], cameras: str = "") -> Injection:
    """Stamps moved by what a function of the seconds since the start says."""

    def shift(delivery: Delivery) -> tuple[Delivery]:
        stamp = stamp_ns(delivery.message.header)
        moved = stamp + round(SECOND * seconds((stamp - START_NS) / SECOND))
        return (replace(delivery, message=restamped(delivery.message, moved)),)

    return own(shift, Kind.IMAGE, cameras=cameras)


def thinned(keep: Callable[[int], bool], cameras: str = "") -> Injection:
    """Only images whose number in the drive is kept."""

    def drop(delivery: Delivery) -> tuple[Delivery, ...]:
        number = round((delivery.time_ns - START_NS) / (SECOND / 10))
        return (delivery,) if keep(number) else ()

    return own(drop, Kind.IMAGE, cameras=cameras)


def with_matrix(**values: float) -> Callable[[Any], None]:
    """Entries of k set: fx, fy, cx, cy as functions of what they were, or values."""
    places = {"fx": 0, "cx": 2, "fy": 4, "cy": 5}

    def edit(message: Any) -> None:
        message.k = message.k.copy()
        for name, value in values.items():
            message.k[places[name]] = value

    return edit


def with_region_beyond(message: Any) -> None:
    message.roi.width, message.roi.height, message.roi.x_offset = 96, 64, 10


def of_twice_the_size(message: Any) -> None:
    message.width, message.height = 2 * message.width, 2 * message.height
    message.k = 2 * message.k
    message.k[8] = 1.0


def mirrored(rotation: Rotation) -> Rotation:
    """As if yaw were clockwise."""
    flip, swap = np.diag([1.0, -1.0, 1.0]), np.diag([-1.0, 1.0, 1.0])
    return Rotation.from_matrix(flip @ rotation.as_matrix() @ swap)


def on_the_other_side(place: Any) -> None:
    place.y = -place.y


def moved(**offsets: float) -> Callable[[Any], None]:
    def edit(entry: Any) -> None:
        for axis, offset in offsets.items():
            place = entry.transform.translation
            setattr(place, axis, getattr(place, axis) + offset)

    return edit


def in_millimetres(entry: Any) -> None:
    for axis in "xyz":
        place = entry.transform.translation
        setattr(place, axis, 1000.0 * getattr(place, axis))


def like_the_right_one(entry: Any) -> None:
    """A line of the URDF copied from the right camera's."""
    down = Rotation.from_euler("xyz", (0.0, math.radians(5.0), -math.pi / 2))
    optical = down * Rotation.from_matrix(OPTICAL_T_BODY.rotation.T)
    q, t = entry.transform.rotation, entry.transform.translation
    q.x, q.y, q.z, q.w = optical.as_quat().tolist()
    t.x, t.y, t.z = 1.2, -0.75, 1.6


def scaled_quaternion(entry: Any) -> None:
    for axis in "xyzw":
        q = entry.transform.rotation
        setattr(q, axis, 2.0 * getattr(q, axis))


def with_footprint(message: Any) -> None:
    """base_link is 40 cm above the ground, as TF says."""
    foot = deepcopy(message.transforms[0])
    foot.child_frame_id = "base_footprint"
    t, q = foot.transform.translation, foot.transform.rotation
    t.x, t.y, t.z = 0.0, 0.0, -0.4
    q.x, q.y, q.z, q.w = 0.0, 0.0, 0.0, 1.0
    message.transforms.append(foot)


QUARTER = Rotation.from_euler("z", 90, degrees=True)

CASES: dict[str, tuple[list[Injection], str, Severity, tuple[str, ...]]] = {
    # images and their times
    "a dead camera": ([known("dead", cameras=("rear",))], "cameras", ERROR, ("rear",)),
    "a camera that stops": (
        [known("dead", cameras=("rear",), start_ns=MIDDLE_NS)], "rate", ERROR, ("rear",),
    ),
    "a slow camera": ([thinned(lambda n: n % 2 == 0, "left")], "rate", WARNING, ("left",)),
    "lost images": (
        [thinned(lambda n: not 20 <= n < 30, "left")], "gaps", WARNING, ("left",),
    ),
    "uneven stamps": (
        [shifted(lambda s: 0.045 * math.sin(40.7 * s), "left")], "jitter", WARNING, ("left",),
    ),
    "truncated images": (
        [known("truncated", cameras=("right",))], "encoding", ERROR, ("right",),
    ),
    "an unknown format": (
        [known("wrong_encoding", cameras=("right",))], "encoding", ERROR, ("right",),
    ),
    "half of the rows": ([known("wrong_size", cameras=("right",))], "size", ERROR, ("right",)),
    "one stamp for all": (
        [known("stamps_standing", cameras=("left",))], "stamps", ERROR, ("left",),
    ),
    "stamps that go back": (
        [known("stamps_backward", cameras=("left",))], "stamps", ERROR, ("left",),
    ),
    "a clock set back": (
        [shifted(lambda s: -2.0 if s > 4 else 0.0)], "stamps", ERROR, ("",),
    ),
    "stamps never filled": (
        [edited(lambda m: m.header.__setattr__("stamp", type(m.header.stamp)(0, 0)), Kind.IMAGE,
                cameras="left")],
        "stamps", ERROR, ("left",),
    ),
    "another clock": ([known("stamps_future", cameras=("left",))], "offset", ERROR, ("left",)),
    "a clock 120 ms off": ([shifted(lambda _: 0.12, "left")], "offset", WARNING, ("left",)),
    "a clock that drifts": (
        [shifted(lambda s: -0.005 * s, "left")], "clock", WARNING, ("left",),
    ),
    "stamps in the future": ([shifted(lambda _: 0.1)], "clock", WARNING, EVERY),
    "cameras that take turns": (
        [thinned(lambda n: n % 4 == 0, "front rear right"), thinned(lambda n: n % 4 == 2, "left")],
        "sets", ERROR, ("left",),
    ),
    # calibration
    "no CameraInfo": (
        [own(lambda _: (), Kind.INFO, cameras="front")], "camera-info", ERROR, ("front",),
    ),
    "CameraInfo of zeros": (
        [known("info_zero", cameras=("front",))], "camera-info", ERROR, ("front",),
    ),
    "CameraInfo of NaN": (
        [known("info_nan", cameras=("front",))], "camera-info", ERROR, ("front",),
    ),
    "a region of interest beyond the image": (
        [calibrated(with_region_beyond)], "camera-info", ERROR, ("front",),
    ),
    "CameraInfo that changes": (
        [known("info_changing", cameras=("front",))], "camera-info", ERROR, ("front",),
    ),
    "CameraInfo of another frame": (
        [edited(lambda m: setattr(m.header, "frame_id", "camera_link"), Kind.IMAGE,
                cameras="front")],
        "camera-info", WARNING, ("front",),
    ),
    "CameraInfo of twice the size": (
        [calibrated(of_twice_the_size)], "size", ERROR, ("front",),
    ),
    "a matrix of another size": (
        [calibrated(with_matrix(fx=80.6, fy=80.6, cx=95.5, cy=63.5))], "focal", ERROR, ("front",),
    ),
    "the tangent of degrees": (
        [calibrated(with_matrix(fx=tan_of_degrees(96, 100.0), fy=tan_of_degrees(96, 100.0)))],
        "focal", ERROR, ("front",),
    ),
    "a focal length in millimetres": (
        [calibrated(with_matrix(fx=4.0, fy=4.0))], "focal", ERROR, ("front",),
    ),
    "a telescope": (
        [calibrated(with_matrix(fx=900.0, fy=900.0))], "focal", ERROR, ("front",),
    ),
    "pixels that are not square": (
        [calibrated(with_matrix(fy=60.0))], "focal", ERROR, ("front",),
    ),
    "a principal point at the border": (
        [calibrated(with_matrix(cx=80.0))], "principal-point", ERROR, ("front",),
    ),
    "a lens that folds back": (
        [calibrated(with_lens("plumb_bob", -0.5, 0.0, 0.0, 0.0, 0.0))],
        "distortion", ERROR, ("front",),
    ),
    "an unknown lens model": (
        [calibrated(with_lens("fov", 0.9))], "distortion", ERROR, ("front",),
    ),
    "coefficients of another lens": (
        [calibrated(with_lens("plumb_bob", 2.0, 0.5, 0.0, 0.0, 0.0))],
        "distortion", WARNING, ("front",),
    ),
    # transforms
    "no TF": ([known("tf_missing")], "tf", ERROR, EVERY),
    "one mounting missing": ([known("tf_missing", frames=(LEFT,))], "tf", ERROR, ("left",)),
    "quaternions of NaN": (
        [known("tf_nan", frames=("base_link",))], "quaternions", ERROR, ("",),
    ),
    "quaternions of length 2": ([mounted(scaled_quaternion, LEFT)], "quaternions", ERROR, ("",)),
    "two localisations": (
        [known("tf_contradictory", frames=("base_link",))], "tf-publishers", ERROR, ("",),
    ),
    "two mountings of one camera": (
        [known("tf_contradictory", frames=(LEFT,))], "tf-publishers", ERROR, ("",),
    ),
    "TF that comes late": ([known("tf_late")], "tf-time", WARNING, ("",)),
    "TF of another clock": (
        [driven(lambda e: setattr(e.header.stamp, "sec", e.header.stamp.sec - 500))],
        "tf-time", ERROR, ("",),
    ),
    # mounting
    "body frames": (
        [mounted(turned(lambda r: r * TO_BODY))], "optical-frame", ERROR, EVERY,
    ),
    "a left-handed rig": (
        [mounted(turned(mirrored, on_the_other_side))],
        "directions", ERROR, ("left", "right"),
    ),
    "yaw of the wrong sign": ([mounted(turned(mirrored))], "directions", ERROR, ("left", "right")),
    "y of the wrong sign": (
        [mounted(turned(lambda r: r, on_the_other_side))], "directions", ERROR, ("left", "right"),
    ),
    "base_link on the roof": ([mounted(moved(z=-1.8))], "mounting", ERROR, EVERY),
    "millimetres": ([mounted(in_millimetres, FRONT)], "mounting", ERROR, ("front",)),
    "a camera that looks at the sky": (
        [mounted(turned(lambda r: r * Rotation.from_euler("x", 90, degrees=True)), FRONT)],
        "mounting", ERROR, ("front",),
    ),
    "a copied mounting": ([mounted(like_the_right_one, LEFT)], "mounting", ERROR, ("left",)),
    "base_link above the ground": (
        [edited(with_footprint, Kind.STATIC_TF)], "base-frame", WARNING, ("",),
    ),
    "a tilted IMU": ([driven(turned(lambda r: r * UP_20))], "ego-pose", ERROR, ("",)),
    "a heading from north": ([driven(turned(lambda r: r * QUARTER))], "ego-pose", ERROR, ("",)),
}  # fmt: skip
"""What is injected: then the check that finds it, how bad it is, and of which cameras."""


@pytest.mark.parametrize("name", CASES)
def test_injected_error_is_found_and_no_other(
    name: str, examined: Callable[..., Examination]
) -> None:
    judge(examined(*CASES[name][0]), name)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_injected_error_is_found_in_a_bag(name: str, healthy_bag: Path, tmp_path: Path) -> None:
    inject_into_bag(healthy_bag, tmp_path / "injected", CASES[name][0])
    judge(examine(observe_bag(tmp_path / "injected"), RECORDING_CHECKS), name)


def test_messages_that_are_no_images_count_among_the_images(healthy_bag: Path) -> None:
    with closing(BagFile(healthy_bag)) as bag:
        collector = Collector(lambda t, kind, raw: decode_message(kind, raw, t), *bag.log_range_ns)
        images = 0
        for connection, log_ns, raw in bag.messages():
            if connection.msgtype not in READ_TYPES:
                continue
            is_image = connection.topic == "/camera/front/image_raw/compressed"
            images += is_image
            is_cut = is_image and images % 4 == 0
            collector.add(
                connection.topic, connection.msgtype, log_ns, raw[: 10 if is_cut else None]
            )
        seen = collector.observation("cut", bag.connections)
    (found,) = (each for each in examine(seen, RECORDING_CHECKS).findings if each.severity is ERROR)
    assert (found.check, found.camera) == ("encoding", "front")
    assert found.seen.startswith("20 of 80 images cannot be read")


def test_healthy_recording_gives_no_finding(healthy_bag: Path) -> None:
    assert not examine(observe_bag(healthy_bag), RECORDING_CHECKS).findings


def test_real_keyframe_gives_no_false_alarm() -> None:
    keyframe = Path(__file__).parents[3] / "shared" / "data" / "nuscenes_keyframe"
    if not keyframe.is_dir():
        pytest.skip("no real keyframe at ../shared/data/nuscenes_keyframe")
    found = examine(observe_bag(keyframe), RECORDING_CHECKS).findings
    assert [(each.check, each.severity) for each in found] == [("sets", Severity.NOTE)]
    assert "back_left 43 ms" in found[0].seen


def test_every_check_has_an_error_that_it_finds() -> None:
    assert {check for _, check, _, _ in CASES.values()} == {each.name for each in RECORDING_CHECKS}


def judge(examination: Examination, name: str) -> None:
    """Of the right check are all findings, of others no errors."""
    _, check, severity, cameras = CASES[name]
    told = [each for each in examination.findings if each.check == check]
    assert {each.camera for each in told} == set(cameras)
    assert {each.severity for each in told} == {severity}
    assert all(each.seen and each.expected and each.cause and each.fix for each in told)
    others = [each for each in examination.findings if each.check != check]
    assert not [f"{e.check} {e.camera}: {e.seen}" for e in others if e.severity is ERROR]
