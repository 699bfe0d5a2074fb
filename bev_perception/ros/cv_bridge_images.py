# SPDX-License-Identifier: Apache-2.0
"""Images that cv_bridge converts, where it is installed and works.

Ubuntu's cv_bridge is compiled for one NumPy and one OpenCV. In a virtual environment with
others its import, or its first conversion, may fail; the node then says so once and goes on
with what the package reads itself.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.images import SUPPORTED_ENCODINGS
from bev_perception.errors import BagError

_LOG = logging.getLogger(__name__)

COLOR_ENCODINGS = frozenset(
    {
        *SUPPORTED_ENCODINGS,
        *("rgb16", "bgr16", "rgba16", "bgra16"),
        *(f"bayer_{order}16" for order in ("rggb", "bggr", "gbrg", "grbg")),
    }
)
"""Encodings of pictures that cv_bridge is asked for; depth and matrices are no pictures."""


def can_convert(encoding: str) -> bool:
    """Whether cv_bridge is there and knows how to make RGB of an encoding."""
    return encoding in COLOR_ENCODINGS and _bridge() is not None


def converted_image(message: Any, topic: str) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB of a sensor_msgs/Image.

    Raises:
        BagError: cv_bridge refuses the message.
    """
    bridge, error_class = _bridge()
    try:
        return np.asarray(bridge.imgmsg_to_cv2(message, "rgb8"), dtype=np.uint8)
    except (error_class, TypeError, ValueError) as error:
        raise BagError(
            f"{topic}: cv_bridge cannot convert an image of {message.width}x{message.height} in "
            f"{message.encoding} with step {message.step} and {len(message.data)} bytes: {error}"
        ) from error


@cache
def _bridge() -> Any:
    """(CvBridge, its error class), or None where it is not installed or broken."""
    try:
        from cv_bridge import CvBridge, CvBridgeError
        from cv_bridge.boost import cv_bridge_boost  # noqa: F401 - compiled, fails if unfit
    except ModuleNotFoundError:
        return None
    except (ImportError, AttributeError) as error:
        _LOG.warning("cv_bridge is installed but does not work (%s); going on without it", error)
        return None
    return CvBridge(), CvBridgeError
