# SPDX-License-Identifier: Apache-2.0
"""What cannot both be true is found: stamps, transforms, and images that never change."""

from __future__ import annotations

import os
from types import SimpleNamespace as Message

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from bev_perception.ros.repeated_images import RepeatedImages
from bev_perception.ros.stamp_offsets import stamp_problems
from bev_perception.ros.transform_conflicts import TransformConflicts

SECOND = 1_000_000_000


def told(x: float, at_s: float, parent: str = "map", w: float = 1.0) -> list[Message]:
    """base_link at a place and time."""
    seconds, nanoseconds = divmod(round(at_s * SECOND), SECOND)
    stamp = Message(sec=seconds, nanosec=nanoseconds)
    transform = Message(
        translation=Message(x=x, y=0.0, z=0.0), rotation=Message(x=0.0, y=0.0, z=0.0, w=w)
    )
    header = Message(frame_id=parent, stamp=stamp)
    return [Message(header=header, child_frame_id="base_link", transform=transform)]


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (told(3.0, 5.0), "twice within 0 ms, 3.00 m apart"),
        (told(9.0, 5.05), "twice within 50 ms, 9.00 m apart"),
        (told(0.0, 5.1, parent="odom"), "below 'map' and below 'odom'"),
        (told(0.0, 5.0), ""),
        (told(0.01, 5.0, w=-1.0), ""),
        (told(4.0, 5.1), ""),
        (told(40.0, 6.0), ""),
    ],
    ids=["one stamp", "too fast", "two parents", "repeated", "rounded", "drives", "an outage"],
)
def test_transforms(second: list[Message], says: str) -> None:
    conflicts = TransformConflicts()
    assert conflicts.look(told(0.0, 5.0), static=False) == ""
    problem = conflicts.look(second, static=False)
    assert (says in problem) if says else not problem


def test_static_transforms_do_not_change_and_a_clock_that_was_set_back_begins_anew() -> None:
    conflicts = TransformConflicts()
    conflicts.look(told(0.0, 0.0), static=True)
    assert "3.00 m apart" in conflicts.look(told(3.0, 9.0), static=True)
    conflicts.look(told(0.0, 5.0), static=False)
    conflicts.forget_moving()
    assert conflicts.look(told(50.0, 5.0), static=False) == ""


@pytest.mark.parametrize(
    ("stamps_s", "clock_s", "wrong"),
    [
        ({"a": 9.0, "b": 9.1, "c": 9.2}, 9.3, {}),
        ({"a": 9.0, "b": 9.1, "c": 19.2}, 9.3, {"c": "10.1 s ahead of the other cameras'"}),
        ({"a": 9.0, "b": 9.1, "c": 1.0}, 9.3, {"c": "8.0 s behind the other cameras'"}),
        ({"a": 9.0, "b": 9.0}, 8.0, dict.fromkeys("ab", "1.0 s ahead of this machine's clock")),
        ({"a": 9.0, "b": 9.0}, None, {}),
        ({"a": 9.0}, 500.0, {}),
    ],
)
def test_stamps(stamps_s: dict[str, float], clock_s: float | None, wrong: dict[str, str]) -> None:
    stamps_ns = {name: round(value * SECOND) for name, value in stamps_s.items()}
    found = stamp_problems(stamps_ns, None if clock_s is None else round(clock_s * SECOND))
    assert found.keys() == wrong.keys()
    assert all(text in found[name] for name, text in wrong.items())


def test_images_are_counted_that_are_the_same_under_another_stamp() -> None:
    repeated, image = RepeatedImages(), os.urandom(30_000)
    assert [repeated.look(image, stamp) for stamp in (1, 2, 2, 3)] == [0, 1, 1, 2]
    assert repeated.look(os.urandom(30_000), 4) == 0
    assert repeated.look(image[:20_000], 5) == 0
    own_stamp = b"\0\1\0\0" + b"12345678" + image
    assert [repeated.look(own_stamp, 6), repeated.look(own_stamp.replace(b"1234", b"5678"), 7)] == [
        0,
        1,
    ]
