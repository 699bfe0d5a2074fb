# SPDX-License-Identifier: Apache-2.0
"""Raw images: sensor_msgs/Image to RGB arrays and back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.headers import make_header
from bev_perception.bags.typestore import IMAGE, message_class
from bev_perception.errors import BagError

_CHANNELS = {
    "rgb8": 3,
    "bgr8": 3,
    "rgba8": 4,
    "bgra8": 4,
    "mono8": 1,
    "bayer_rggb8": 1,
    "bayer_bggr8": 1,
    "bayer_gbrg8": 1,
    "bayer_grbg8": 1,
    "yuv422": 2,
    "uyvy": 2,
    "yuv422_yuy2": 2,
    "yuyv": 2,
}
"""Bytes per pixel of the encodings with one byte per channel."""

_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
    "bayer_rggb8": cv2.COLOR_BAYER_RGGB2RGB,
    "bayer_bggr8": cv2.COLOR_BAYER_BGGR2RGB,
    "bayer_gbrg8": cv2.COLOR_BAYER_GBRG2RGB,
    "bayer_grbg8": cv2.COLOR_BAYER_GRBG2RGB,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}

SUPPORTED_ENCODINGS = (*_CHANNELS, "mono16")
"""Values of sensor_msgs/Image.encoding that image_from_message takes."""


def image_from_message(message: Any, topic: str) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB of a sensor_msgs/Image.

    rgb8 is a view of the message's own buffer, perhaps read-only and with padded rows;
    other encodings are converted. mono16 keeps its upper eight bits.

    Raises:
        BagError: an encoding that is not supported, or a buffer too short for its size.
    """
    problem = image_problem(message)
    if problem:
        raise BagError(f"{topic}: {problem}")
    encoding = message.encoding
    rows = _rows(message)
    if encoding == "mono16":
        return _converted(_upper_bytes(message, rows), cv2.COLOR_GRAY2RGB)
    return rows if encoding == "rgb8" else _converted(rows, _TO_RGB[encoding])


def image_problem(message: Any) -> str:
    """Why image_from_message would refuse an Image, in words; empty when it would not.

    Looks at the numbers beside the pixels only, so it costs microseconds.
    """
    if message.encoding not in SUPPORTED_ENCODINGS:
        return (
            f"image encoding {message.encoding!r} is not supported, expected one of "
            f"{', '.join(SUPPORTED_ENCODINGS)}; convert the topic, for example with image_proc"
        )
    height, width, step = int(message.height), int(message.width), int(message.step)
    row_bytes = width * _bytes_per_pixel(message.encoding)
    needed = step * (height - 1) + row_bytes if height else 0
    present = len(message.data)
    if height < 1 or width < 1 or step < row_bytes or present < needed:
        return (
            f"image of {width}x{height} in {message.encoding} with step {step} needs "
            f"a step of at least {row_bytes} and {needed} bytes, got {present} bytes; "
            f"the message is damaged or its sender fills it wrongly"
        )
    return ""


def image_to_message(
    image: NDArray[np.uint8], stamp_ns: int, frame_id: str, topic: str = "image"
) -> Any:
    """sensor_msgs/Image in rgb8 of an (height, width, 3) uint8 RGB array, without padding."""
    check_image(image, topic)
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).reshape(-1)
    header = make_header(stamp_ns, frame_id)
    return message_class(IMAGE)(header, height, width, "rgb8", 0, width * 3, data)


def check_image(image: NDArray[np.uint8], topic: str) -> None:
    """Refuses what is not an RGB image.

    Raises:
        BagError: shape or type differ from (height, width, 3) uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise BagError(
            f"{topic}: an image must be (height, width, 3) uint8 RGB, "
            f"got shape {image.shape} of {image.dtype}"
        )


def _converted(rows: NDArray[np.uint8], code: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(rows, code), dtype=np.uint8)


def _bytes_per_pixel(encoding: str) -> int:
    return 2 if encoding == "mono16" else _CHANNELS[encoding]


def _rows(message: Any) -> NDArray[np.uint8]:
    """(height, width[, channels]) view of the buffer, row padding left out."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    data = np.frombuffer(message.data, dtype=np.uint8)
    channels = _bytes_per_pixel(message.encoding)
    shape: tuple[int, ...] = (height, width, channels)
    strides: tuple[int, ...] = (step, channels, 1)
    if channels == 1:
        shape, strides = shape[:2], (step, 1)
    return np.lib.stride_tricks.as_strided(data, shape, strides, writeable=data.flags.writeable)


def _upper_bytes(message: Any, pairs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(height, width) uint8: the more significant byte of each 16-bit pixel."""
    return np.ascontiguousarray(pairs[..., 0 if message.is_bigendian else 1])
