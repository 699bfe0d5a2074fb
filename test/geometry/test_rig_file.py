# SPDX-License-Identifier: Apache-2.0
"""Rig files are read strictly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import load_rig, load_rig_file
from bev_perception.resources import config_path

COMPLETE = """
base_frame: /ego_vehicle
labels_topic: /labels
cameras:
  front:
    image_topic: /front/image
    camera_info_topic: /front/info
    frame_id: front_lens
    width: 640
    height: 480
    fx: 300.0
    fy: 301
    cx: 319.5
    cy: 239.5
    distortion_model: plumb_bob
    distortion: [-0.1, 0.01, 1e-3, 0, 0]
    position: [1.5, 0.2, 1.4]
    rpy_deg: [0, 10, 30]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "car.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_value_arrives(tmp_path: Path) -> None:
    rig_file = load_rig_file(written(tmp_path, COMPLETE))
    assert (rig_file.base_frame, rig_file.labels_topic) == ("ego_vehicle", "/labels")
    entry = rig_file.cameras["front"]
    assert entry.image_topic == "/front/image"
    assert entry.camera_info_topic == "/front/info"
    front = rig_file.rig()["front"]
    assert front.frame_id == "front_lens"
    camera = front.camera
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (300.0, 301.0, 319.5, 239.5)
    assert camera.distortion == (-0.1, 0.01, 1e-3, 0.0, 0.0)


def test_position_and_angles_are_those_of_a_body_that_looks_along_x(tmp_path: Path) -> None:
    entry = load_rig(written(tmp_path, COMPLETE))["front"]
    sight = entry.base_T_camera.rotate([0.0, 0.0, 1.0])
    down, left = np.radians([10.0, 30.0])
    expected = [np.cos(down) * np.cos(left), np.cos(down) * np.sin(left), -np.sin(down)]
    np.testing.assert_allclose(sight, expected, atol=1e-12)
    np.testing.assert_array_equal(entry.base_T_camera.translation, [1.5, 0.2, 1.4])
    image_right = entry.base_T_camera.rotate([1.0, 0.0, 0.0])
    np.testing.assert_allclose(image_right, [np.sin(left), -np.cos(left), 0.0], atol=1e-12)


def test_the_default_rig_sees_the_ground_all_around_the_car() -> None:
    rig = load_rig(config_path("rigs/default.yaml"))
    assert rig.names == ("front", "left", "rear", "right")
    for entry in rig.cameras.values():
        assert (entry.camera.height, entry.camera.width) == (448, 672)
        assert entry.camera.horizontal_fov_deg == pytest.approx(100.0)
    angles = np.radians(np.arange(0, 360, 2.0))
    ring = 20.0 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    seen = {}
    for name, entry in rig.cameras.items():
        pixels, in_front = entry.project(ring)
        seen[name] = in_front & entry.camera.contains(pixels)
    assert np.any(list(seen.values()), axis=0).all()
    ahead, left = 0, 45
    assert [name for name in seen if seen[name][ahead]] == ["front"]
    assert [name for name in seen if seen[name][left]] == ["left"]


def test_a_file_may_name_topics_and_leave_the_calibration_to_the_bag(tmp_path: Path) -> None:
    rig_file = load_rig_file(written(tmp_path, "cameras: {a: {image_topic: /a/image}, b: {}}"))
    assert rig_file.base_frame == "base_link"
    assert rig_file.cameras["a"].camera is None
    assert list(rig_file.cameras) == ["a", "b"]
    with pytest.raises(ConfigurationError, match=r"car\.yaml: camera 'a' has no intrinsics"):
        rig_file.rig()


def changed(old: str, new: str) -> str:
    assert old in COMPLETE
    return COMPLETE.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed("image_topic", "image_topc"), "camera 'front'.*'image_topc'.*'image_topic'"),
        (changed("labels_topic", "label_topic"), "'label_topic'.*mean 'labels_topic'"),
        (changed("width: 640", "width: 640.5"), "camera 'front': width .*whole.*640.5"),
        (changed("width: 640", "width: '640'"), "width .*whole number of pixels, got '640'"),
        (changed("width: 640\n", "\n"), "width missing"),
        (changed("fx: 300.0", "fx: wide"), "fx must be a finite number, got 'wide'"),
        (changed("fx: 300.0", "fx: 0"), "camera 'front': focal lengths must be positive"),
        (changed("fx: 300.0", "fx: .nan"), "fx must be a finite number"),
        (changed("fx: 300.0", "fx: 300\n    horizontal_fov_deg: 90"), "same thing"),
        (changed("cy: 239.5", ""), "cy missing, needed beside fx, fy, cx"),
        (changed("plumb_bob", "plum_bob"), "'plum_bob', expected one of .*plumb_bob"),
        (changed("[-0.1, 0.01, 1e-3, 0, 0]", "[0.1]"), "takes .*got 1"),
        (changed("distortion_model: plumb_bob", ""), "distortion_model missing"),
        (changed("[1.5, 0.2, 1.4]", "[1.5, 0.2]"), r"position must be .*3 .*metres"),
        (changed("    rpy_deg: [0, 10, 30]\n", ""), "rpy_deg missing, needed beside position"),
        (changed("front:", "front left:"), "camera name 'front left'"),
        (changed("height: 480", "height: 480\n    height: 481"), "'height' is given twice"),
        ("cameras: {}", "must map camera names"),
        ("cameras: [front]", "must map camera names"),
        ("base_frame: 3\ncameras: {a: {}}", "base_frame must be a name"),
        ("cameras: {a: 5}", "camera 'a': expected a mapping"),
        ("- front", "expected a mapping"),
        ("", "expected a mapping"),
        ("cameras: {a: [}", "not valid YAML"),
    ],
)
def test_a_mistake_is_refused_with_the_file_and_the_key(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_rig(written(tmp_path, text))
    assert "car.yaml" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no_such\.yaml"):
        load_rig_file(tmp_path / "no_such.yaml")


def test_a_position_in_millimetres_is_refused(tmp_path: Path) -> None:
    text = COMPLETE.replace("[1.5, 0.2, 1.4]", "[1500, 200, 1400]")
    with pytest.raises(ConfigurationError, match="not millimetres"):
        load_rig_file(written(tmp_path, text))
