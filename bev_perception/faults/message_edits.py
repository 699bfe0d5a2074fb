# SPDX-License-Identifier: Apache-2.0
"""Changed copies of messages, whichever library their class is of."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.compressed_images import image_from_compressed, image_to_compressed
from bev_perception.bags.headers import NANOSECONDS
from bev_perception.bags.images import row_bytes
from bev_perception.errors import ConfigurationError

JPEG_QUALITY = 95


def is_compressed(message: Any) -> bool:
    """Whether an image message is a CompressedImage."""
    return hasattr(message, "format")


def copied_image(message: Any, **fields: Any) -> Any:
    """The image message with other fields; data are shared where they are not given.

    Args:
        message: Image or CompressedImage.
        fields: by name; data as bytes.
    """
    other = copy(message)
    other.header = deepcopy(message.header)
    for name, value in fields.items():
        setattr(other, name, _buffer(message, value) if name == "data" else value)
    return other


def restamped(message: Any, stamp_ns: int) -> Any:
    """The message with another stamp in its header, nanoseconds, not below zero."""
    other = copied_image(message)
    other.header.stamp.sec, other.header.stamp.nanosec = divmod(max(0, stamp_ns), NANOSECONDS)
    return other


def repainted(message: Any, paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Any:
    """The image message with other pixels, encoded as before.

    Args:
        message: Image of eight bits per channel, or CompressedImage, which becomes a JPEG.
        paint: takes (height, width, channels) uint8 as encoded and returns such an array, maybe
            of another size.

    Raises:
        ConfigurationError: an encoding of sixteen bits, or of two planes.
        BagError: the image does not decode.
    """
    if is_compressed(message):
        image = np.ascontiguousarray(paint(image_from_compressed(message, "image")))
        encoded = image_to_compressed(image, 0, "", JPEG_QUALITY)
        return copied_image(message, data=bytes(encoded.data), format=encoded.format)
    channels, rest = divmod(row_bytes(message), int(message.width))
    if rest or "16" in message.encoding or message.encoding == "nv12":
        raise ConfigurationError(f"images in {message.encoding} cannot be repainted; use rgb8")
    height, width, step = int(message.height), int(message.width), int(message.step)
    rows = np.ndarray((height, width, channels), np.uint8, message.data, 0, (step, channels, 1))
    image = np.ascontiguousarray(paint(rows))
    return copied_image(
        message,
        height=image.shape[0],
        width=image.shape[1],
        step=image.shape[1] * channels,
        data=image.tobytes(),
    )


def _buffer(message: Any, data: bytes) -> Any:
    """Bytes as the class of the message keeps them."""
    if isinstance(message.data, array):
        return array("B", data)
    return np.frombuffer(data, dtype=np.uint8)
