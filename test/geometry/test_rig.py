# SPDX-License-Identifier: Apache-2.0
"""Rigs of mounted cameras."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL


def mounted(yaw_deg: float, x: float = 0.0) -> RigCamera:
    body = RigidTransform.from_euler(yaw=np.radians(yaw_deg), translation=(x, 0.0, 1.5))
    return RigCamera(PinholeCamera.from_field_of_view(640, 480, 90.0), body @ BODY_T_OPTICAL)


def two_cameras() -> Rig:
    return Rig({"front": mounted(0.0, 2.0), "left": mounted(90.0)})


def test_a_point_ahead_is_in_the_middle_of_the_front_camera_alone() -> None:
    rig = two_cameras()
    ahead = np.array([12.0, 0.0, 1.5])
    pixels, in_front = rig["front"].project(ahead)
    np.testing.assert_allclose(pixels, [319.5, 239.5])
    assert in_front
    assert not rig["left"].project(ahead)[1]


def test_what_is_left_and_low_is_left_and_low_in_the_image() -> None:
    (u, v), _ = two_cameras()["front"].project(np.array([12.0, 2.0, 0.5]))
    np.testing.assert_allclose([u, v], [319.5 - 320 * 0.2, 239.5 + 320 * 0.1])


def test_resize_and_crop_keep_the_mounting() -> None:
    entry = mounted(30.0)
    changed = entry.resized(320, 240).cropped(0, 40, 320, 200)
    assert changed.base_T_camera == entry.base_T_camera
    point = entry.base_T_camera.apply([0.3, -0.2, 4.0])
    expected = (entry.project(point)[0] + 0.5) / 2 - 0.5 - [0, 40]
    np.testing.assert_allclose(changed.project(point)[0], expected)


def test_a_rig_moved_with_its_points_sees_the_same() -> None:
    rig, change = two_cameras(), RigidTransform.from_euler(0.1, -0.2, 0.3, (1, 2, 3))
    point = np.array([8.0, 1.0, 0.0])
    moved = rig.moved(change)["front"].project(change.apply(point))[0]
    np.testing.assert_allclose(moved, rig["front"].project(point)[0])


def test_a_rig_reads_like_a_mapping_and_compares_by_value() -> None:
    rig = two_cameras()
    assert list(rig) == ["front", "left"] == list(rig.names)
    assert "left" in rig
    assert "rear" not in rig
    assert pickle.loads(pickle.dumps(rig)) == rig == two_cameras()
    assert hash(rig) == hash(two_cameras())
    assert rig.subset(["left", "front"]) != rig
    assert rig.subset(["left"]).names == ("left",)


def test_an_unknown_or_missing_camera_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"no camera 'rear'.*front, left"):
        two_cameras().subset(["front", "rear"])
    with pytest.raises(ConfigurationError, match="at least one"):
        Rig({})
