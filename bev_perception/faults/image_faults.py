# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with the content of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.headers import stamp_ns
from bev_perception.errors import ConfigurationError
from bev_perception.faults.delivery import Delivery
from bev_perception.faults.fault import Choice, Effect
from bev_perception.faults.message_edits import copied_image, is_compressed, repainted

BLACK, WHITE = 0, 255
HUGE_WIDTH = 1280
CLAIMED_SIZE = 65536
UNKNOWN_ENCODING, UNKNOWN_FORMAT = "64FC4", "h264"


def changed(edit: Callable[[Any], Any]) -> Callable[[Choice], Effect]:
    """An effect without memory that hands on another message."""
    return lambda choice: lambda delivery: (replace(delivery, message=edit(delivery.message)),)


def of_one_level(level: int) -> Callable[[Choice], Effect]:
    """All pixels have one value."""
    return changed(lambda message: repainted(message, lambda image: np.full_like(image, level)))


def noise(choice: Choice) -> Effect:
    """Every pixel is random: a broken cable, or a sensor that reads nothing."""

    def spoil(delivery: Delivery) -> tuple[Delivery]:
        seed = (choice.seed, stamp_ns(delivery.message.header))
        random = np.random.default_rng(seed)

        def paint(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return random.integers(0, 256, image.shape, dtype=np.uint8)

        return (replace(delivery, message=repainted(delivery.message, paint)),)

    return spoil


def frozen(choice: Choice) -> Effect:
    """Each camera repeats its first image under new stamps."""
    kept: dict[str, Any] = {}

    def repeat(delivery: Delivery) -> tuple[Delivery]:
        first = kept.setdefault(delivery.camera, delivery.message)
        message = copied_image(first)
        message.header = copied_image(delivery.message).header
        return (replace(delivery, message=message),)

    return repeat


def swapped(choice: Choice) -> Effect:
    """Two cameras show what the other one sees, as with exchanged cables.

    Raises:
        ConfigurationError: the choice does not name two cameras.
    """
    if len(choice.cameras) != 2:
        raise ConfigurationError(f"two cameras can be swapped, got {list(choice.cameras)}")
    other = dict(zip(choice.cameras, reversed(choice.cameras)))
    newest: dict[str, Any] = {}

    def exchange(delivery: Delivery) -> tuple[Delivery, ...]:
        newest[delivery.camera] = delivery.message
        if other[delivery.camera] not in newest:
            return ()
        message = copied_image(newest[other[delivery.camera]])
        message.header = copied_image(delivery.message).header
        return (replace(delivery, message=message),)

    return exchange


def truncated(message: Any) -> Any:
    """Half of the data is missing."""
    return copied_image(message, data=bytes(message.data[: len(message.data) // 2]))


def of_wrong_encoding(message: Any) -> Any:
    """An encoding that no camera has."""
    if is_compressed(message):
        return copied_image(message, format=UNKNOWN_FORMAT)
    return copied_image(message, encoding=UNKNOWN_ENCODING)


def of_wrong_size(message: Any) -> Any:
    """The upper half of the image, which its CameraInfo knows nothing of."""
    return repainted(message, lambda image: image[: max(1, len(image) // 2)])


def of_wrong_stride(message: Any) -> Any:
    """Rows that are shorter than their pixels.

    Raises:
        ConfigurationError: a compressed image, which has no rows.
    """
    if is_compressed(message):
        raise ConfigurationError("compressed images have no stride; use raw images")
    return copied_image(message, step=max(1, int(message.step) - 1))


def huge(message: Any) -> Any:
    """Enlarged to at least HUGE_WIDTH pixels."""

    def paint(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        factor = max(2, -(-HUGE_WIDTH // image.shape[1]))
        return image.repeat(factor, axis=0).repeat(factor, axis=1)

    return repainted(message, paint)


def claims_to_be_huge(message: Any) -> Any:
    """Names a size of gigabytes, data as before.

    Raises:
        ConfigurationError: a compressed image, which names no size.
    """
    if is_compressed(message):
        raise ConfigurationError("compressed images name no size; use raw images")
    step = min(CLAIMED_SIZE * 3, 2**32 - 1)
    return copied_image(message, height=CLAIMED_SIZE, width=CLAIMED_SIZE, step=step)


def of_no_size(message: Any) -> Any:
    """No pixel at all."""
    if is_compressed(message):
        return copied_image(message, data=b"")
    return copied_image(message, height=0, width=0, step=0, data=b"")


def upside_down(message: Any) -> Any:
    """Turned by 180 degrees: the camera hangs from its mount."""
    return repainted(message, lambda image: image[::-1, ::-1])


def mirrored(message: Any) -> Any:
    """Left and right exchanged."""
    return repainted(message, lambda image: image[:, ::-1])
