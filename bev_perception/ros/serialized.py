# SPDX-License-Identifier: Apache-2.0
"""Serialized messages, from whoever sends them."""

from __future__ import annotations

from typing import Any

from rclpy.serialization import deserialize_message

from bev_perception.errors import BagError


def read_message(data: bytes, kind: type, topic: str) -> Any:
    """A message of rclpy's class.

    Raises:
        BagError: the bytes are none: anybody can publish any bytes, and in a callback rclpy's own
            error would end the node.
    """
    try:
        return deserialize_message(data, kind)
    except RuntimeError as error:  # rclpy's RMWError
        raise BagError(
            f"{topic}: a message of {len(data)} bytes is no {kind.__name__}; its sender or the "
            f"network damages it"
        ) from error
