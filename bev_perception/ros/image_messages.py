# SPDX-License-Identifier: Apache-2.0
"""Camera messages: Image, CompressedImage and CameraInfo, to arrays and back.

Received images stay in the bytes that came; NumPy looks into them without a copy. An array
field that is sent must be an array.array: given NumPy or a list, rclpy looks at every element,
which for a camera image takes up to a thousand times longer.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from bev_perception.bags import images
from bev_perception.bags.camera_info import calibration_fields
from bev_perception.bags.compressed_images import image_from_compressed
from bev_perception.bags.typestore import COMPRESSED_IMAGE, IMAGE, bag_typestore
from bev_perception.errors import BagError
from bev_perception.geometry import PinholeCamera
from bev_perception.ros.bridged_images import bridged_image
from bev_perception.ros.stamps import header_message

OWN_ENCODINGS = frozenset({"rgb8", "bgr8", "rgba8", "bgra8", "mono8"})
"""What cameras mostly send: read here without copies, whether cv_bridge is there or not."""

_UNBRIDGED = frozenset({"8UC3", "nv12"})
"""What cv_bridge does not convert."""


def received_image(data: bytes, compressed: bool, topic: str) -> Any:
    """A serialized Image or CompressedImage, its pixels a read-only view of the bytes.

    Raises:
        BagError: the bytes are none.
    """
    kind = COMPRESSED_IMAGE if compressed else IMAGE
    try:
        return bag_typestore().deserialize_cdr(data, kind)
    except Exception as error:  # generated decoders raise anything on damaged bytes
        raise BagError(
            f"{topic}: a message of {len(data)} bytes is no {kind} ({error!r}); its sender or "
            f"the network damages it"
        ) from error


def image_from_message(message: Image | CompressedImage, topic: str) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB of an Image or CompressedImage.

    rgb8 is a view of the message's own buffer, perhaps with padded rows. Encodings outside
    OWN_ENCODINGS are converted by cv_bridge where it is installed and works, else by the
    function that reads bags; both give the same pixels.

    Raises:
        BagError: an encoding or codec that nobody here reads, or damaged data.
    """
    if hasattr(message, "format"):
        return image_from_compressed(message, topic)
    is_own = message.encoding in OWN_ENCODINGS or message.encoding in _UNBRIDGED
    if not is_own and not images.image_problem(message):
        image = bridged_image(message)
        if image is not None:
            return image
    return images.image_from_message(message, topic)


def raw_image_problem(message: Image) -> str:
    """What is wrong with encoding, step or length of an Image, in words; empty when nothing.

    Looks at no pixel, so it fits into a subscription's callback.
    """
    return images.image_problem(message)


def image_message(image: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """rgb8 Image of a (height, width, 3) uint8 RGB array.

    Raises:
        BagError: shape or type differ.
    """
    images.check_image(image, frame_id)
    message = Image()
    message.header = header_message(stamp_ns, frame_id)
    message.height, message.width = image.shape[:2]
    message.encoding = "rgb8"
    message.step = 3 * message.width
    message.data = array("B")
    message.data.frombytes(np.ascontiguousarray(image).reshape(-1))
    return message


def camera_info_message(camera: PinholeCamera, stamp_ns: int, frame_id: str) -> CameraInfo:
    """CameraInfo of a camera whose images are neither binned nor cropped."""
    fields: dict[str, Any] = calibration_fields(camera)
    fields["d"] = array("d", fields["d"])
    return CameraInfo(header=header_message(stamp_ns, frame_id), **fields)
