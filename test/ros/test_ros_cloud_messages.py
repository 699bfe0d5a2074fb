# SPDX-License-Identifier: Apache-2.0
"""Clouds are read the same with sensor_msgs_py and without it, again and again."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from sensor_msgs.msg import PointCloud2, PointField

from bev_perception.errors import BagError
from bev_perception.ros import cloud_messages
from bev_perception.ros.cloud_messages import cloud_points

LAYOUTS = ("plain", "doubles", "padded rows", "big-endian", "no points")


def a_message(layout: str) -> tuple[PointCloud2, np.ndarray]:
    """Two rows of three points, one of which has no echo, and the points that are to be read."""
    points = np.random.default_rng(0).uniform(-9, 9, (6, 3)).astype(np.float32)
    points[4, 1] = np.inf if layout == "doubles" else np.nan
    kind = {"doubles": "<f8", "big-endian": ">f4"}.get(layout, "<f4")
    size = np.dtype(kind).itemsize
    names, offsets = ["x", "y", "z", "ring"], [0, size, 2 * size, 3 * size + 4]
    step = 3 * size + 8
    formats = [kind] * 3 + [kind[0] + "u2"]
    dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": step})
    height, width = (0, 0) if layout == "no points" else (2, 3)
    gap = 12 if layout == "padded rows" else 0
    table = np.zeros(6, dtype=dtype)
    for axis, name in enumerate("xyz"):
        table[name] = points[:, axis]
    rows = table.reshape(2, 3)[:height]
    data = b"".join(row.tobytes() + b"\xff" * gap for row in rows)
    codes = {"f4": 7, "f8": 8, "u2": 4}
    fields = [
        PointField(name=name, offset=offset, datatype=codes[code[1:]], count=1)
        for name, offset, code in zip(names, offsets, formats)
    ]
    message = PointCloud2(height=height, width=width, fields=fields, point_step=step)
    message.row_step, message.is_bigendian = width * step + gap, kind[0] == ">"
    message.data = array("B", data)
    return message, points[[0, 1, 2, 3, 5]][: 5 * bool(height)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("peer", [True, False], ids=["sensor_msgs_py", "by hand"])
def test_the_points_are_those_that_were_written(
    layout: str, peer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if peer:
        pytest.importorskip("sensor_msgs_py", reason="comes with ROS 2, not with the wheels")
    else:
        monkeypatch.setattr(cloud_messages, "read_points", None)
    message, expected = a_message(layout)
    for _ in range(2):
        np.testing.assert_allclose(cloud_points(message, "/points"), expected, rtol=1e-6)


def test_values_behind_the_places_come_where_they_are_asked_for() -> None:
    message, expected = a_message("plain")
    found = cloud_points(message, "/points", ("ring", "time"))
    np.testing.assert_allclose(found[:, :3], expected, rtol=1e-6)
    assert found.shape == (5, 5)
    assert not found[:, 3:].any()  # a driver that tells no time measured now
    with pytest.raises(BagError, match="/points: point cloud without field rcs"):
        cloud_points(message, "/points", ("rcs",))


@pytest.mark.parametrize("peer", [True, False], ids=["sensor_msgs_py", "by hand"])
@pytest.mark.parametrize("damage", ["short", "no z", "other type"])
def test_what_is_damaged_is_refused_with_the_topic(
    peer: bool, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if peer:
        pytest.importorskip("sensor_msgs_py", reason="comes with ROS 2, not with the wheels")
    else:
        monkeypatch.setattr(cloud_messages, "read_points", None)
    message: Any = a_message("plain")[0]
    if damage == "short":
        message.data = message.data[:50]
    elif damage == "no z":
        message.fields[2].name = "w"
    else:
        message.fields[0].datatype = 99
    with pytest.raises(BagError, match="/points: "):
        cloud_points(message, "/points")
