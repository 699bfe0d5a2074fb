# SPDX-License-Identifier: Apache-2.0
"""Images that cv_bridge converts, where it is installed and works.

Ubuntu's cv_bridge is compiled for Ubuntu's NumPy and OpenCV. In a virtual environment with
newer ones its import or its conversions fail: that is said once, and the package converts
the images itself, to the same pixels.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.images import row_bytes

_LOG = logging.getLogger(__name__)


def bridged_image(message: Any) -> NDArray[np.uint8] | None:
    """(height, width, 3) uint8 RGB of a sensor_msgs/Image that is complete, by cv_bridge.

    None where cv_bridge is not there or does not convert this one.
    """
    if message.step != row_bytes(message):
        return None  # cv_bridge shears images whose rows are padded by part of a pixel
    bridge = _bridge()
    if bridge is None:
        return None
    try:
        image = bridge.imgmsg_to_cv2(message, "rgb8")
    except Exception as error:  # compiled code of others, which raises whatever it likes
        _report_once(f"does not convert {message.encoding!r}", repr(error))
        return None
    if image.shape != (message.height, message.width, 3) or image.dtype != np.uint8:
        seen = f"it made {image.shape} of {image.dtype}"  # for another OpenCV than the installed
        _report_once(f"does not convert {message.encoding!r}", seen)
        return None
    return np.asarray(image)


@cache
def _bridge() -> Any:
    """A CvBridge, or None where there is none or it does not load."""
    try:
        import cv_bridge
        import cv_bridge.boost.cv_bridge_boost
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "cv_bridge":
            _report_once("does not load", repr(error))
        return None
    except Exception as error:  # a NumPy that it was not compiled for shows in many ways
        _report_once("does not load", repr(error))
        return None
    return cv_bridge.CvBridge()


@cache
def _report_once(what: str, cause: str) -> None:
    _LOG.warning("cv_bridge %s (%s); such images are converted without it", what, cause)
