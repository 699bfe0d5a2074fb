# SPDX-License-Identifier: Apache-2.0
"""Subscriptions to /tf and /tf_static that feed a TransformTree."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from bev_perception.errors import BagError, TransformError
from bev_perception.geometry import TransformTree
from bev_perception.ros.flood_limits import TransformLimit
from bev_perception.ros.serialized import read_message
from bev_perception.ros.stamps import stamp_ns
from bev_perception.ros.transform_conflicts import TransformConflicts
from bev_perception.ros.transform_messages import add_transforms

HISTORY_S = 10.0
JUMP_NS = 2_000_000_000
"""A transform this much older than the one before of the same frame means another time line."""

_DEPTH = 100


class TransformInput:
    """Keeps a tree up to date; moving transforms of a time line that has ended are forgotten.

    Args:
        node: that subscribes.
        on_moving: called after moving transforms came.
        on_static: called after static ones came that say something new.
        on_jump: called when stamps have fallen back, before the transforms of the new time
            line are in the tree.
        on_refused: called with what is wrong with a transform, or contradicts another one.
        limit: what is too much; default as the parameters of the perception node.

    Attributes:
        tree: with HISTORY_S of moving transforms.
    """

    def __init__(
        self,
        node: Node,
        on_moving: Callable[[], object],
        on_static: Callable[[], object],
        on_jump: Callable[[], object],
        on_refused: Callable[[str], object],
        limit: TransformLimit | None = None,
    ) -> None:
        limit = limit or TransformLimit()
        self.tree = TransformTree(HISTORY_S, limit.max_frames)
        self._limit = limit
        self._node = node
        self._on_moving = on_moving
        self._on_static = on_static
        self._on_jump = on_jump
        self._on_refused = on_refused
        self._newest_ns: dict[str, int] = {}
        self._conflicts = TransformConflicts()
        static_qos = QoSProfile(depth=_DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = (
            node.create_subscription(
                TFMessage, "/tf", self._receive, QoSProfile(depth=_DEPTH), raw=True
            ),
            node.create_subscription(
                TFMessage, "/tf_static", self._receive_static, static_qos, raw=True
            ),
        )

    def forget_moving(self) -> None:
        """For a clock that was set back."""
        self.tree.clear_moving()
        self._newest_ns.clear()
        self._conflicts.forget_moving()

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _receive(self, data: bytes) -> None:
        message = self._read(data, "/tf")
        if message is None:
            return
        if self._falls_back(message):
            self.forget_moving()
            self._on_jump()
        self._add(message, static=False)
        self._on_moving()

    def _receive_static(self, data: bytes) -> None:
        message = self._read(data, "/tf_static")
        if message is not None and self._add(message, static=True):
            self._on_static()

    def _read(self, data: bytes, topic: str) -> TFMessage | None:
        """The message, unless it is too much or none; made of its bytes last, which takes time."""
        problem = self._limit.problem(data, time.monotonic_ns())
        if problem:
            self._on_refused(f"{topic}: {problem}")
            return None
        try:
            return read_message(data, TFMessage, topic)
        except BagError as error:
            self._on_refused(str(error))
            return None

    def _falls_back(self, message: TFMessage) -> bool:
        fell = False
        for transform in message.transforms:
            child, stamp = transform.child_frame_id, stamp_ns(transform.header.stamp)
            if child not in self._newest_ns and len(self._newest_ns) >= self._limit.max_frames:
                continue
            fell |= stamp < self._newest_ns.get(child, stamp) - JUMP_NS
            self._newest_ns[child] = stamp
        return fell

    def _add(self, message: TFMessage, static: bool) -> bool:
        """Whether the tree changed."""
        conflict = self._conflicts.look(message.transforms, static)
        if conflict:
            self._on_refused(conflict)
        try:
            return add_transforms(self.tree, message, static)
        except TransformError as error:
            self._on_refused(str(error))
            return True  # the others of the message may say something new
