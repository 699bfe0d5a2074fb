# SPDX-License-Identifier: Apache-2.0
"""All static transforms so far, as one message that can be stated again at any time."""

from __future__ import annotations

from typing import Any

from bev_perception.bags.bag_file import describe
from bev_perception.bags.typestore import TF, bag_typestore
from bev_perception.bags.typestore import message_class as bag_class
from bev_perception.errors import BagError


class StaticTransforms:
    """What /tf_static has said, the latest word for every child frame.

    Messages are serialized TFMessages, in and out.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Any] = {}
        self._whole: bytes | None = None

    @property
    def frames(self) -> frozenset[str]:
        """Child frames."""
        return frozenset(self._entries)

    def add(self, data: bytes, only_new: bool = False) -> bool:
        """Takes a message in; whether it said anything new.

        Args:
            data: serialized tf2_msgs/msg/TFMessage.
            only_new: keep what is known of a frame already.

        Raises:
            BagError: the bytes are no TFMessage.
        """
        try:
            message: Any = bag_typestore().deserialize_cdr(data, TF)
        except Exception as error:  # generated decoders raise anything on damaged bytes
            raise BagError(
                f"/tf_static: a message of {len(data)} bytes is no {TF} ({describe(error)})"
            ) from error
        changed = False
        for entry in message.transforms:
            known = self._entries.get(entry.child_frame_id)
            if known is None or not only_new:
                changed |= known is None or _said(known) != _said(entry)
                self._entries[entry.child_frame_id] = entry
        if changed:
            own = [self._entries[e.child_frame_id] is e for e in message.transforms]
            self._whole = data if all(own) and len(own) == len(self._entries) else None
        return changed

    def message(self) -> bytes | None:
        """One message with everything; None for nothing.

        Where one message said all there is, it is that message byte for byte.
        """
        if not self._entries:
            return None
        if self._whole is None:
            message = bag_class(TF)(transforms=list(self._entries.values()))
            self._whole = bytes(bag_typestore().serialize_cdr(message, TF))
        return self._whole


def _said(entry: Any) -> tuple[str, Any]:
    return entry.header.frame_id, entry.transform
