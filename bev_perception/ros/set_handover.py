# SPDX-License-Identifier: Apache-2.0
"""From the executor's thread to the worker's: sets wait for their pose, then the newest wins."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

from bev_perception.geometry.frames import levelled
from bev_perception.perception import SynchronizedSet
from bev_perception.perception.frame_sets import Levelling
from bev_perception.ros.camera_inputs import PendingImage
from bev_perception.ros.ego_pose import EgoPose, EgoPoses
from bev_perception.ros.node_monitor import NodeMonitor
from bev_perception.ros.one_shot import OneShot
from bev_perception.ros.pose_queue import PoseQueue
from bev_perception.ros.set_processor import LiveSet, SetProcessor
from bev_perception.ros.worker import NewestWorker

ImageSet = SynchronizedSet[PendingImage]

CLOSE_PATIENCE_S = 5.0
"""How long the end waits for a set in hand; a network that hangs may never give it back."""


class SetHandover:
    """All methods are for the executor's thread.

    Args:
        node: whose clock and executor are used.
        poses: of the vehicle.
        timeout_ns: how long a set waits for its pose, nanoseconds.
        processor: processes the sets, in a thread made here.
        monitor: told of poses and of what is dropped.
        on_crash: called in the thread with what the processor did not catch.

    Attributes:
        levelling: asked for the attitude of every set, see perception.frame_sets.
    """

    def __init__(
        self,
        node: Node,
        poses: EgoPoses,
        timeout_ns: int,
        processor: SetProcessor,
        monitor: NodeMonitor,
        on_crash: Callable[[BaseException], object],
    ) -> None:
        self.levelling: Levelling = lambda stamp_ns, world_T_base: (world_T_base, None)
        self._clock = node.get_clock()
        self._processor = processor
        self._monitor = monitor
        self._poses = poses
        self._queue: PoseQueue[ImageSet] = PoseQueue(poses, timeout_ns)
        self._overdue = OneShot(node, timeout_ns, self._give_up)
        self._worker = NewestWorker(processor.process, "perception", on_crash)
        processor.on_inference = self._worker.let_go
        self._held: LiveSet | None = None

    def expect(self, stamp_ns: int) -> None:
        """The first image of a set has come; if its pose is known, its tap table is built."""
        pose = self._poses.at(stamp_ns)
        if pose.is_final:
            world_T_base, level_T_base = self.levelling(stamp_ns, pose.world_T_base)
            self._processor.expect(level_T_base if world_T_base is None else levelled(world_T_base))

    def add(self, images: ImageSet) -> None:
        """A set is there; it goes on at once if its pose is known."""
        self._queue.add(images, self._clock.now().nanoseconds)
        self.look()

    def look(self) -> None:
        """Poses may have come, or time may have passed."""
        if not len(self._queue):
            return
        now_ns = self._clock.now().nanoseconds
        self._release(self._queue.ready(now_ns), now_ns)

    def check_patience(self) -> None:
        """To be called now and then, by a clock that does not stand still."""
        self._overdue.check()

    def release_held(self) -> None:
        """The first rig is ready; the newest set has waited for it."""
        held, self._held = self._held, None
        if held is not None:
            self._hand_over(held)

    def forget(self, cause: str) -> None:
        """Drops what waits; what is in the worker's hands is finished."""
        for images in self._queue.clear():
            self._count_dropped(images, cause)
        self._overdue.cancel()
        for dropped in (self._worker.clear(), self._held):
            if dropped is not None:
                self._count_dropped(dropped.images, cause)
        self._held = None

    def close(self) -> bool:
        """Ends the threads after the set in hand; whether that set has ended in time."""
        self._overdue.close()
        has_ended = self._worker.stop(CLOSE_PATIENCE_S)
        self._processor.close()
        return has_ended

    def _give_up(self) -> None:
        now_ns = self._clock.now().nanoseconds
        self._release(self._queue.give_up(now_ns), now_ns)

    def _release(self, ready: list[tuple[ImageSet, EgoPose]], now_ns: int) -> None:
        """Hands sets over; the timer follows the one that waits longest then."""
        if not len(self._queue):
            self._overdue.cancel()
        elif ready or not self._overdue.is_set:
            self._overdue.set(self._queue.wait_ns(now_ns))
        for images, pose in ready:
            steady_ns = time.monotonic_ns()
            if pose.world_T_base is None:
                self._monitor.transforms.pose_missing(steady_ns)
            else:
                self._monitor.transforms.pose_found(pose.world_frame, pose.late_ns, steady_ns)
            levelling = self.levelling(images.stamp_ns, pose.world_T_base)
            self._hand_over(LiveSet(images, pose, *levelling))

    def _hand_over(self, live_set: LiveSet) -> None:
        if self._held is not None:
            self._count_dropped(self._held.images, "not calibrated yet")
            self._held = None
        if not self._processor.is_ready:
            self._held = live_set
            return
        dropped = self._worker.put(live_set)
        if dropped is not None:
            self._count_dropped(dropped.images, "busy")

    def _count_dropped(self, images: ImageSet, cause: str) -> None:
        self._monitor.engine.set_dropped(cause)
        for camera in images.frames:
            self._monitor.cameras[camera].images_dropped(cause)
