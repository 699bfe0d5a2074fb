# SPDX-License-Identifier: Apache-2.0
"""Camera messages of rclpy, in and out."""

from __future__ import annotations

import importlib.util
import logging
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 is not installed: make ros")

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from bev_perception.bags.camera_info import calibration_from_message, camera_to_message
from bev_perception.bags.compressed_images import image_to_compressed
from bev_perception.bags.images import SUPPORTED_ENCODINGS, image_to_message
from bev_perception.bags.typestore import CAMERA_INFO, IMAGE, bag_typestore
from bev_perception.errors import BagError
from bev_perception.geometry import PinholeCamera
from bev_perception.ros import bridged_images
from bev_perception.ros.image_messages import (
    OWN_ENCODINGS,
    camera_info_message,
    image_from_message,
    image_message,
    raw_image_problem,
)

STAMP_NS = 12_345_678_901
FRAME = "front_optical_frame"
TOPIC = "/camera/front/image_raw"


def rgb_image(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def raw_image(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    """An Image of (H, W, bytes) uint8 as a driver sends it."""
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)), constant_values=0xEE)
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    message.data = array("B", rows.tobytes())
    return message


def camera_of(model: str, coefficients: tuple[float, ...]) -> PinholeCamera:
    matrix = np.array([[310.5, 0, 319.25], [0, 309.0, 200.75], [0, 0, 1]])
    return PinholeCamera(640, 400, matrix, model, coefficients)


def loaded_bridge() -> list[str]:
    return [name for name in sys.modules if name.split(".")[0] == "cv_bridge"]


@pytest.fixture
def fresh_bridge() -> Iterator[None]:
    """cv_bridge is looked for again, and complains again, in this test and after it."""
    caches = bridged_images._bridge, bridged_images._report_once
    before = {name: sys.modules.pop(name) for name in loaded_bridge()}
    for each in caches:
        each.cache_clear()
    yield
    for name in loaded_bridge():
        del sys.modules[name]
    sys.modules.update(before)
    for each in caches:
        each.cache_clear()


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_images_survive_the_wire(height: int, width: int, seed: int) -> None:
    image = rgb_image(seed, height, width)
    sent = image_message(image, STAMP_NS, FRAME)
    received = deserialize_message(serialize_message(sent), Image)
    np.testing.assert_array_equal(image_from_message(received, TOPIC), image)
    assert raw_image_problem(received) == ""


def test_an_image_is_the_one_that_bags_hold() -> None:
    image = rgb_image(0, 5, 7)[:, ::-1]  # not contiguous
    raw = serialize_message(image_message(image, STAMP_NS, FRAME))
    live, recorded = (
        bag_typestore().deserialize_cdr(raw, IMAGE),
        image_to_message(image, STAMP_NS, FRAME),
    )
    assert live.data.tobytes() == recorded.data.tobytes()
    live.data = recorded.data = None
    assert live == recorded


def test_what_is_no_rgb_image_is_not_sent() -> None:
    with pytest.raises(BagError, match=r"front_optical_frame.*\(4, 5\)"):
        image_message(np.zeros((4, 5), dtype=np.uint8), STAMP_NS, FRAME)


def test_a_received_rgb8_image_is_not_copied() -> None:
    message = raw_image(rgb_image(0, 4, 5), "rgb8", padding=2)
    image = image_from_message(message, TOPIC)
    assert np.shares_memory(image, np.frombuffer(message.data, dtype=np.uint8))


@pytest.mark.parametrize("encoding", sorted(OWN_ENCODINGS))
@pytest.mark.parametrize("padding", [0, 1, 8])
def test_common_encodings_become_rgb(encoding: str, padding: int) -> None:
    rgb = rgb_image(1, 6, 7)
    if encoding == "mono8":
        rgb[:] = rgb[..., :1]
    order = {"r": 0, "g": 1, "b": 2}
    channels = "r" if encoding == "mono8" else encoding[:-1]
    alpha = np.full((6, 7), 9, dtype=np.uint8)
    stored = [alpha if letter == "a" else rgb[..., order[letter]] for letter in channels]
    message = raw_image(np.stack(stored, axis=-1), encoding, padding)
    np.testing.assert_array_equal(image_from_message(message, TOPIC), rgb)


def test_compressed_images_become_rgb() -> None:
    smooth = np.repeat(np.linspace(20, 220, 48, dtype=np.uint8)[None, :, None], 32, axis=0)
    image = np.concatenate([smooth, 255 - smooth, np.full_like(smooth, 90)], axis=-1)
    recorded = image_to_compressed(image, STAMP_NS, FRAME, jpeg_quality=95)
    message = CompressedImage(format=recorded.format)
    message.data = array("B", recorded.data.tobytes())
    decoded = image_from_message(message, TOPIC).astype(int)
    assert np.abs(decoded - image.astype(int)).max() < 12


def test_a_damaged_compressed_image_names_its_topic() -> None:
    message = CompressedImage(format="jpeg")
    message.data = array("B", b"\xff\xd8\xff nothing")
    with pytest.raises(BagError, match=TOPIC):
        image_from_message(message, TOPIC)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "32FC1"}, "encoding '32FC1' is not supported"),
        ({"step": 14}, "step of at least 15"),
        ({"height": 5}, "got 60 bytes"),
        ({"width": 0}, "image of 0x4"),
    ],
)
def test_a_wrong_image_is_described_without_looking_at_pixels(
    change: dict[str, object], words: str
) -> None:
    message = raw_image(rgb_image(2, 4, 5), "rgb8")
    for name, value in change.items():
        setattr(message, name, value)
    assert words in raw_image_problem(message)
    with pytest.raises(BagError, match=TOPIC) as error:
        image_from_message(message, TOPIC)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [
        ("none", ()),
        ("plumb_bob", (-0.3, 0.1, 0.001, -0.002, -0.01)),
        ("equidistant", (0.01, -0.002, 0.0003, 0.0)),
        ("rational_polynomial", (0.1, -0.02, 0.001, 0.0, 0.01, 0.2, 0.03, 0.004)),
    ],
)
def test_a_camera_survives_its_camera_info(model: str, coefficients: tuple[float, ...]) -> None:
    camera = camera_of(model, coefficients)
    sent = camera_info_message(camera, STAMP_NS, FRAME)
    received = deserialize_message(serialize_message(sent), CameraInfo)
    calibration = calibration_from_message(received, "/camera_info")
    assert calibration.camera.distortion_model == model
    assert calibration.camera.distortion == coefficients
    np.testing.assert_array_equal(calibration.camera.matrix, camera.matrix)
    assert calibration.frame_id == FRAME
    rectified = calibration_from_message(received, "/camera_info", rectified=True)
    assert rectified.camera.distortion_model == "none"


def test_camera_info_is_the_one_that_bags_hold() -> None:
    camera = camera_of("plumb_bob", (-0.3, 0.1, 0.001, -0.002, 0.0))
    raw = serialize_message(camera_info_message(camera, STAMP_NS, FRAME))
    live = bag_typestore().deserialize_cdr(raw, CAMERA_INFO)
    recorded = camera_to_message(camera, STAMP_NS, FRAME)
    for name in ("d", "k", "r", "p"):
        np.testing.assert_array_equal(getattr(live, name), getattr(recorded, name))
        setattr(live, name, None)
        setattr(recorded, name, None)
    assert live == recorded


@pytest.mark.skipif(
    importlib.util.find_spec("cv_bridge") is not None, reason="a real cv_bridge is installed"
)
@pytest.mark.usefixtures("fresh_bridge")
def test_without_cv_bridge_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    message = raw_image(np.full((4, 6, 2), 128, dtype=np.uint8), "yuv422")
    assert image_from_message(message, TOPIC).shape == (4, 6, 3)
    assert not caplog.records


@pytest.mark.usefixtures("fresh_bridge")
@pytest.mark.parametrize(
    "load",
    [
        "import numpy.no_such_core",
        "raise ImportError('numpy.core.multiarray failed to import')",
        "raise AttributeError('_ARRAY_API not found')",
        "raise SystemError('initialization raised unreported exception')",
        "import not_installed_at_all",
        "class CvBridge:\n    def imgmsg_to_cv2(self, *args):\n        raise KeyError('yuv422')",
        "import numpy\nclass CvBridge:\n    imgmsg_to_cv2 = lambda *_: numpy.zeros((4, 2, 9))",
    ],
)
def test_a_broken_cv_bridge_is_reported_once_and_done_without(
    load: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    boost = tmp_path / "cv_bridge" / "boost"
    boost.mkdir(parents=True)
    (boost.parent / "__init__.py").write_text(load)
    (boost / "__init__.py").write_text("")
    (boost / "cv_bridge_boost.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    message = raw_image(np.full((4, 6, 2), 128, dtype=np.uint8), "yuv422")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            np.testing.assert_array_equal(
                image_from_message(message, TOPIC), np.full((4, 6, 3), 130, dtype=np.uint8)
            )
    assert len(caplog.records) == 1
    assert "cv_bridge" in caplog.text


def test_every_supported_encoding_is_readable() -> None:
    for encoding in SUPPORTED_ENCODINGS:
        message = raw_image(np.full((6, 6, 8), 90, dtype=np.uint8), encoding)
        message.height = 4  # the two rows behind are the colours of nv12
        assert raw_image_problem(message) == ""
        assert image_from_message(message, TOPIC).shape == (4, 6, 3)
