# SPDX-License-Identifier: Apache-2.0
"""Subscriptions to /tf and /tf_static that feed a TransformTree."""

from __future__ import annotations

import time
from collections.abc import Callable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from bev_perception.bags.vehicle_frames import WORLD_FRAMES
from bev_perception.errors import BagError, TransformError
from bev_perception.geometry import TransformTree
from bev_perception.ros.flood_limits import TransformLimit
from bev_perception.ros.serialized import read_message
from bev_perception.ros.stamps import stamp_ns
from bev_perception.ros.transform_conflicts import TransformConflicts
from bev_perception.ros.transform_messages import add_transforms
from bev_perception.ros.transform_time_lines import JUMP_NS, TransformTimeLines, Verdict

HISTORY_S = 10.0

_DEPTH = 100


class TransformInput:
    """Keeps a tree up to date; moving transforms of a time line that has ended are forgotten.

    Args:
        node: that subscribes.
        on_moving: called after moving transforms came.
        on_static: called after static ones came that say something new.
        on_jump: called when the clock was set back by the stamps, before the transforms of the
            new time line are in the tree.
        on_refused: called with what is wrong with a transform, or contradicts another one.
        limit: what is too much; default as the parameters of the perception node.
        base_frame: of the vehicle. Frames between it and the world tell whether the clock was set
            back; others may have stamps as odd as they like. Default: all tell.

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
        base_frame: str = "",
    ) -> None:
        limit = limit or TransformLimit()
        self.tree = TransformTree(HISTORY_S, limit.max_frames)
        self._limit = limit
        self._node = node
        self._on_moving = on_moving
        self._on_static = on_static
        self._on_jump = on_jump
        self._on_refused = on_refused
        self._base_frame = base_frame
        self._time_lines = TransformTimeLines(limit.max_frames)
        self._held: list[TransformStamped] = []
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
        """For a clock that was set back; what was held is of the new time line."""
        self.tree.clear_moving()
        self._time_lines.clear()
        self._conflicts.forget_moving()
        if self._held:
            new, self._held = TFMessage(transforms=self._held), []
            self._keep_known(new)
            self._add(new, static=False)

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _receive(self, data: bytes) -> None:
        message = self._read(data, "/tf")
        if message is None:
            return
        self._keep_known(message)
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

    def _keep_known(self, message: TFMessage) -> None:
        """Leaves in a message what is known to be of the present time line."""
        self._time_lines.begin_message()
        message.transforms = [each for each in message.transforms if self._is_known(each)]

    def _is_known(self, transform: TransformStamped) -> bool:
        child, stamp = transform.child_frame_id.lstrip("/"), stamp_ns(transform.header.stamp)
        chain = (*self.tree.ancestors(self._base_frame), *WORLD_FRAMES)
        is_witness = not self._base_frame or child in chain
        verdict = self._time_lines.look(child, stamp, is_witness)
        if verdict is Verdict.RETURNED:
            self._held = [each for each in self._held if each.child_frame_id.lstrip("/") != child]
        if verdict in (Verdict.ALONE, Verdict.RETURNED) and is_witness:
            self._on_refused(
                f"/tf: stamps of {transform.header.frame_id!r} -> {child!r} jump by more than "
                f"{JUMP_NS / 1e9:g} s and back; look at its sender's clock, or for a second sender"
            )
        if verdict is Verdict.ALONE:
            self.tree.clear_after(child, stamp)
        if verdict not in (Verdict.HELD, Verdict.CLOCK):
            return True
        self._held.append(transform)
        if verdict is Verdict.CLOCK:
            self._on_jump()
            if self._held:
                self.forget_moving()
        return False

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
