# SPDX-License-Identifier: Apache-2.0
"""Raw images: sensor_msgs/Image to RGB arrays and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.headers import make_header
from bev_perception.bags.typestore import IMAGE, message_class
from bev_perception.errors import BagError


class _Layout(NamedTuple):
    """How an encoding stores a pixel, and OpenCV's conversion from that to RGB.

    color_rows: rows of colours behind those of brightness, per row of these.
    """

    channels: int
    to_rgb: int | None
    byte_depth: int = 1
    color_rows: float = 0.0


_BY_CHANNELS = {
    "rgb": _Layout(3, None),
    "bgr": _Layout(3, cv2.COLOR_BGR2RGB),
    "rgba": _Layout(4, cv2.COLOR_RGBA2RGB),
    "bgra": _Layout(4, cv2.COLOR_BGRA2RGB),
    "mono": _Layout(1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb": _Layout(1, cv2.COLOR_BAYER_RGGB2RGB),
    "bayer_bggr": _Layout(1, cv2.COLOR_BAYER_BGGR2RGB),
    "bayer_gbrg": _Layout(1, cv2.COLOR_BAYER_GBRG2RGB),
    "bayer_grbg": _Layout(1, cv2.COLOR_BAYER_GRBG2RGB),
}

_PAIRED = {
    "yuv422": _Layout(2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": _Layout(2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": _Layout(2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": _Layout(2, cv2.COLOR_YUV2RGB_YUY2),
}
"""Two neighbours in a row share their colour."""

_PLANAR = {"nv12": _Layout(1, cv2.COLOR_YUV2RGB_NV12, color_rows=0.5)}
"""Four neighbours share their colour, which stands behind all brightness."""

_LAYOUTS = {
    **{f"{name}8": layout for name, layout in _BY_CHANNELS.items()},
    "8UC3": _BY_CHANNELS["bgr"],
    **_PAIRED,
    **_PLANAR,
    **{f"{name}16": layout._replace(byte_depth=2) for name, layout in _BY_CHANNELS.items()},
}

SUPPORTED_ENCODINGS = tuple(_LAYOUTS)
"""Values of sensor_msgs/Image.encoding that image_from_message takes."""


def image_from_message(message: Any, topic: str) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB of a sensor_msgs/Image.

    rgb8 is a view of the message's own buffer, perhaps read-only and with padded rows;
    other encodings are converted. Sixteen bits become eight with white staying white, as
    cv_bridge scales them; 8UC3 is taken for bgr8, OpenCV's order.

    Raises:
        BagError: an encoding that is not supported, or a buffer too short for its size.
    """
    problem = image_problem(message)
    if problem:
        raise BagError(f"{topic}: {problem}")
    layout = _LAYOUTS[message.encoding]
    return converted_rows(_rows(message, layout), message.encoding)


def converted_rows(rows: NDArray[Any], encoding: str) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB of rows (height, width[, channels]) of uint8 or uint16.

    Args:
        rows: as the encoding stores them.
        encoding: one of SUPPORTED_ENCODINGS.
    """
    to_rgb = _LAYOUTS[encoding].to_rgb
    image = rows if to_rgb is None else cv2.cvtColor(rows, to_rgb)
    if rows.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=255.0 / 65535.0)
    return np.asarray(image, dtype=np.uint8)


def image_problem(message: Any) -> str:
    """Why image_from_message would refuse an Image, in words; empty when it would not.

    Looks at the numbers beside the pixels only, so it costs microseconds.
    """
    layout = _LAYOUTS.get(message.encoding)
    if layout is None:
        return (
            f"image encoding {message.encoding!r} is not supported, expected one of "
            f"{', '.join(SUPPORTED_ENCODINGS)}; convert the topic, for example with image_proc"
        )
    height, width, step = int(message.height), int(message.width), int(message.step)
    row = row_bytes(message)
    rows = height + int(height * layout.color_rows)
    needed = step * (rows - 1) + row if height else 0
    present = len(message.data)
    if height < 1 or width < 1 or step < row or present < needed:
        return (
            f"image of {width}x{height} in {message.encoding} with step {step} needs "
            f"a step of at least {row} and {needed} bytes, got {present} bytes; "
            f"the message is damaged or its sender fills it wrongly"
        )
    if message.encoding in _PAIRED and width % 2:
        return (
            f"image of {width}x{height} in {message.encoding}, which stores pixels in pairs, has "
            f"an odd width; its sender names the wrong encoding or width"
        )
    if message.encoding in _PLANAR and (width % 2 or height % 2):
        return (
            f"image of {width}x{height} in {message.encoding}, which stores colours of two by two "
            f"pixels, has an odd size; its sender names the wrong encoding or size"
        )
    return ""


def row_bytes(message: Any) -> int:
    """Length of one row of an Image in a supported encoding, its padding left out."""
    layout = _LAYOUTS[message.encoding]
    return int(message.width) * layout.channels * layout.byte_depth


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


def _rows(message: Any, layout: _Layout) -> NDArray[Any]:
    """(height, width[, channels]) view of the buffer, row padding left out; nv12 has half as many
    rows again.

    Sixteen bits are copied, since they may lie in foreign byte order.
    """
    height, width, step = int(message.height), int(message.width), int(message.step)
    height += int(height * layout.color_rows)
    pixel_bytes = layout.channels * layout.byte_depth
    shape: tuple[int, ...] = (height, width, layout.channels)
    strides: tuple[int, ...] = (step, pixel_bytes, layout.byte_depth)
    if layout.channels == 1:
        shape, strides = shape[:2], strides[:2]
    order = ">" if message.is_bigendian else "<"
    dtype = np.dtype(np.uint8) if layout.byte_depth == 1 else np.dtype(f"{order}u2")
    rows: NDArray[Any] = np.ndarray(shape, dtype, buffer=message.data, strides=strides)
    return rows if layout.byte_depth == 1 else rows.astype(np.uint16)
