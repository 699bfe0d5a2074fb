# SPDX-License-Identifier: Apache-2.0
"""Compressed images: sensor_msgs/CompressedImage to RGB arrays and back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.encoded_image import declared_size, is_cut_off
from bev_perception.bags.headers import make_header
from bev_perception.bags.images import SUPPORTED_ENCODINGS, check_image, converted_rows
from bev_perception.bags.typestore import COMPRESSED_IMAGE, message_class
from bev_perception.errors import BagError
from bev_perception.untrusted import MAX_PIXELS

SUPPORTED_FORMATS = ("jpeg", "jpg", "png")
"""Codecs that CompressedImage.format may name."""

_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_MAX_HEADER = 1 << 20
"""Of a JPEG, before its size: thumbnails and colour profiles."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG"


def image_from_compressed(message: Any, topic: str) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB of a sensor_msgs/CompressedImage.

    Takes the formats of image_transport (``rgb8; jpeg compressed bgr8``) and bare codec names.
    A Bayer mosaic gets its colours as that of a raw image does. An EXIF orientation is ignored:
    the calibration holds for the pixels as stored.

    Raises:
        BagError: another codec, data that does not decode, or a mosaic that is none.
    """
    data = np.frombuffer(message.data, dtype=np.uint8)
    problem = compressed_format_problem(message.format)
    if problem:
        raise BagError(f"{topic}: {problem}")
    mosaic = mosaic_encoding(message.format)
    image = _decoded(data, cv2.IMREAD_UNCHANGED if mosaic else _FLAGS)
    if mosaic and image is not None:
        if image.ndim != 2:
            raise BagError(
                f"{topic}: format {message.format!r} says that the picture is a {mosaic} mosaic, "
                f"but it has {image.shape[2]} channels; have the driver name the encoding of the "
                f"picture behind `compressed`, or record the raw topic"
            )
        return converted_rows(image, mosaic)
    image = _in_rgb(image)
    if image is None:
        raise BagError(
            f"{topic}: an image of {data.size} bytes in format {message.format!r} does not "
            f"decode (first bytes {data[:4].tobytes().hex() or 'none'}); the recording is damaged: "
            f"cut that part out, or leave the camera out with a rig file that names the others"
        )
    return image


def mosaic_encoding(text: str) -> str:
    """The Bayer encoding of the picture in a CompressedImage of that format; empty for others.

    image_transport names the raw image's encoding first, and behind ``compressed`` what it was
    converted to before; mosaics it compresses as they are (``bayer_rggb8; jpeg compressed ``).
    """
    encoding, _, picture = text.partition(";")
    encoding, target = encoding.strip(), picture.partition("compressed")[2].strip()
    is_mosaic = encoding.startswith("bayer_") and encoding in SUPPORTED_ENCODINGS
    return encoding if is_mosaic and target in ("", encoding) else ""


def compressed_format_problem(text: str) -> str:
    """Why a CompressedImage.format cannot be read, in words; empty when it can."""
    words = text.lower().replace(";", " ").split()
    if "compresseddepth" not in words and any(word in SUPPORTED_FORMATS for word in words):
        return ""
    return (
        f"compressed image format {text!r} is not supported, expected one of "
        f"{', '.join(SUPPORTED_FORMATS)}; record the raw topic or a JPEG one"
    )


def decoded_image(data: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """(height, width, 3) uint8 RGB of the bytes of a JPEG or PNG.

    None where they are none, or are cut off.
    """
    return _in_rgb(_decoded(data, _FLAGS))


def _decoded(data: NDArray[np.uint8], flags: int) -> NDArray[Any] | None:
    """As OpenCV decodes it; None where it is no JPEG or PNG, or is cut off."""
    if not data[:4].tobytes().startswith((_JPEG, _PNG)):
        return None
    size = declared_size(data[:_MAX_HEADER].tobytes())
    cut_off = is_cut_off(data.tobytes())
    if size is None or size[0] * size[1] > MAX_PIXELS or cut_off:
        return None
    try:
        return cv2.imdecode(data, flags)
    except cv2.error:
        return None


def _in_rgb(bgr: NDArray[Any] | None) -> NDArray[np.uint8] | None:
    if bgr is None:
        return None
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), dtype=np.uint8)


def image_to_compressed(
    image: NDArray[np.uint8],
    stamp_ns: int,
    frame_id: str,
    jpeg_quality: int,
    topic: str = "image",
) -> Any:
    """sensor_msgs/CompressedImage (JPEG) of an (height, width, 3) uint8 RGB array.

    Raises:
        BagError: not an RGB image, or a quality outside 1 to 100.
    """
    check_image(image, topic)
    if not 1 <= jpeg_quality <= 100:
        raise BagError(f"{topic}: JPEG quality must lie between 1 and 100, got {jpeg_quality}")
    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])[1]
    return message_class(COMPRESSED_IMAGE)(
        make_header(stamp_ns, frame_id), "rgb8; jpeg compressed bgr8", encoded.reshape(-1)
    )
