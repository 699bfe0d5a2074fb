# SPDX-License-Identifier: Apache-2.0
"""Copies of one message, quicker than constructing another.

rclpy's constructors build a default for every field even where a value is given; for a
Marker that is most of the work.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

Message = TypeVar("Message")


class MessageModel(Generic[Message]):
    """Makes shallow copies of a message, as copy.copy would but looking at it only once.

    A copy shares the model's fields: give it others, never change them in place.
    """

    def __init__(self, model: Message) -> None:
        self._class = type(model)
        state: Any = model.__reduce_ex__(2)[2]
        plain, slots = state if isinstance(state, tuple) else (state, None)
        self._fields = tuple({**(plain or {}), **(slots or {})}.items())

    def copy(self) -> Message:
        """Another message with the model's fields."""
        message = self._class.__new__(self._class)
        for name, value in self._fields:
            setattr(message, name, value)
        return message
