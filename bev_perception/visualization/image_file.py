# SPDX-License-Identifier: Apache-2.0
"""Pictures to files and bytes, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError


def encode_image(image: NDArray[np.uint8], suffix: str = ".jpg", quality: int = 88) -> bytes:
    """(H, W, 3) uint8 RGB as the bytes of a ``.jpg`` or ``.png`` file.

    Raises:
        ConfigurationError: another suffix.
    """
    if suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise ConfigurationError(f"pictures are .jpg or .png, not {suffix!r}")
    options = [] if suffix.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return data.tobytes()


def write_image(path: Path, image: NDArray[np.uint8], quality: int = 92) -> None:
    """Writes (H, W, 3) uint8 RGB beside its name and moves it there when complete."""
    data = encode_image(image, path.suffix, quality)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
