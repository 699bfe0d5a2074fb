# SPDX-License-Identifier: Apache-2.0
"""Everything that runs while the perception node is active.

Callbacks run in the executor's one thread and only sort what comes: images into sets, CameraInfo
and TF into a rig, sets to the worker once their ego pose is known. Decoding, the network and
publishing are the worker thread's; another rig is prepared in a third one.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping

from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo

from bev_perception.errors import BevError
from bev_perception.geometry import Rig
from bev_perception.geometry.rig_file import RigFileCamera
from bev_perception.inference import Engine
from bev_perception.perception import PipelineSettings, SynchronizedSet, Synchronizer
from bev_perception.ros.camera_inputs import CameraInput, PendingImage
from bev_perception.ros.ego_pose import EgoPoses
from bev_perception.ros.live_rig import LiveRig
from bev_perception.ros.node_monitor import NodeMonitor
from bev_perception.ros.parameters import NodeParameters
from bev_perception.ros.pose_queue import PoseQueue
from bev_perception.ros.publishers import OutputPublishers
from bev_perception.ros.set_processor import LiveSet, SetProcessor
from bev_perception.ros.transform_input import TransformInput
from bev_perception.ros.worker import NewestWorker

NANOSECONDS = 1_000_000_000
RIG_GRACE_NS = NANOSECONDS
"""How long the first set waits for the calibration of all cameras."""

SAME_JUMP_NS = NANOSECONDS
"""Signs of a clock set back that come within this time are of one jump."""

LOG_PERIOD_S = 5.0


class LiveSession:
    """From activation to deactivation.

    Args:
        node: whose name, clock and executor are used.
        parameters: of the node.
        overrides: what the rig file says, by camera.
        engine: the network.
        publishers: for the output.
        monitor: told of everything.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        overrides: Mapping[str, RigFileCamera],
        engine: Engine,
        publishers: OutputPublishers,
        monitor: NodeMonitor,
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._clock = node.get_clock()
        self._log = node.get_logger()
        self._monitor = monitor
        self._synchronizer: Synchronizer[PendingImage] = Synchronizer(
            parameters.cameras,
            parameters.sync_tolerance_ns,
            parameters.sync_timeout_ns,
            parameters.min_cameras,
        )
        self._transforms = TransformInput(
            node,
            self._on_moving_transforms,
            self._on_static_transforms,
            self._on_jump,
            self._on_refused_transform,
        )
        info_topics = {
            name: node.resolve_topic_name(f"~/input/{name}/camera_info")
            for name in parameters.cameras
        }
        self._live_rig = LiveRig(
            info_topics,
            self._transforms.tree,
            parameters.base_frame,
            parameters.rectified,
            overrides,
        )
        poses = EgoPoses(self._transforms.tree, parameters.base_frame, parameters.world_frame)
        self._pose_queue: PoseQueue[SynchronizedSet[PendingImage]] = PoseQueue(
            poses, parameters.tf_timeout_ns
        )
        self._processor = SetProcessor(
            engine,
            parameters.settings,
            parameters.min_cameras,
            publishers,
            monitor,
            self._clock,
            self._on_first_output,
        )
        self._pending_rig: Rig | None = None
        self._held: LiveSet | None = None
        self._first_set_ns: int | None = None
        self._anchor_ns: int | None = None
        self._jumped_ns: int | None = None
        self._jumps_counted = 0
        self._worker = NewestWorker(self._processor.process, "perception", self._on_crash)
        self._calibrator = NewestWorker(self._calibrate, "calibration", self._on_crash)
        self._rig_ready = node.create_guard_condition(self._release_held)
        self._anchor_timer = self._one_shot(parameters.sync_timeout_ns, self._give_up)
        self._pose_timer = self._one_shot(max(1, parameters.tf_timeout_ns), self._release)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_timer = node.create_timer(
            parameters.diagnostics_period_s, self._diagnose, clock=steady
        )
        threshold = JumpThreshold(
            min_forward=None,
            min_backward=Duration(nanoseconds=-parameters.sync_timeout_ns),
            on_clock_change=False,
        )
        self._jump_handle = self._clock.create_jump_callback(
            threshold, post_callback=self._on_clock_jump
        )
        self._inputs = [
            CameraInput(
                node,
                monitor.cameras[name],
                parameters.image_transport == "compressed",
                parameters.image_reliability == "reliable",
                parameters.image_depth,
                self._on_image,
                self._on_info,
            )
            for name in parameters.cameras
        ]
        self._update_rig()

    @property
    def settings(self) -> PipelineSettings:
        """Of the pipeline; what is set holds from the next set on."""
        return self._processor.settings

    @settings.setter
    def settings(self, settings: PipelineSettings) -> None:
        self._processor.settings = settings

    def close(self) -> None:
        """Ends subscriptions, timers and threads; waits for the set in hand."""
        for camera_input in self._inputs:
            camera_input.close()
        self._transforms.close()
        self._jump_handle.unregister()
        for timer in (self._anchor_timer, self._pose_timer, self._diagnostics_timer):
            self._node.destroy_timer(timer)
        self._worker.stop()
        self._calibrator.stop()
        self._node.destroy_guard_condition(self._rig_ready)

    # Images to sets.

    def _on_image(self, image: PendingImage) -> None:
        self._live_rig.add_image_frame(image.camera, image.message.header.frame_id)
        sets = self._synchronizer.add(image)
        jumps = self._synchronizer.statistics.clock_jumps
        if jumps != self._jumps_counted:
            self._jumps_counted = jumps
            self._on_jump()
        self._take(sets)

    def _give_up(self) -> None:
        self._anchor_ns = None
        self._take(self._synchronizer.give_up())

    def _take(self, sets: list[SynchronizedSet[PendingImage]]) -> None:
        """Sets that are complete begin to wait for their pose; the timer follows the anchor."""
        for found in sets:
            for camera in found.frames:
                self._monitor.cameras[camera].image_used()
            self._pose_queue.add(found, self._clock.now().nanoseconds, time.monotonic_ns())
        anchor_ns = self._synchronizer.waiting_stamp_ns
        if anchor_ns is None:
            self._anchor_timer.cancel()
        elif anchor_ns != self._anchor_ns:
            self._anchor_timer.reset()
        self._anchor_ns = anchor_ns
        if sets:
            if self._first_set_ns is None:
                self._first_set_ns = time.monotonic_ns()
            self._release()

    # Sets to the worker.

    def _release(self) -> None:
        """Hands over the sets that need not wait for their pose any longer."""
        ready = self._pose_queue.ready(self._clock.now().nanoseconds, time.monotonic_ns())
        if len(self._pose_queue):
            if ready or self._pose_timer.is_canceled():
                self._pose_timer.reset()
        else:
            self._pose_timer.cancel()
        if ready:
            self._update_rig()
        for images, pose in ready:
            if pose.world_T_base is None:
                self._monitor.transforms.pose_missing(time.monotonic_ns())
            else:
                self._monitor.transforms.pose_found(
                    pose.world_frame, pose.age_ns, time.monotonic_ns()
                )
            self._hand_over(LiveSet(images, pose))

    def _hand_over(self, live_set: LiveSet) -> None:
        if self._processor.is_ready:
            dropped, cause = self._worker.put(live_set), "busy"
        else:
            dropped, cause = self._held, "not calibrated yet"
            self._held = live_set
        if dropped is not None:
            self._count_dropped(dropped, cause)

    def _release_held(self) -> None:
        """The first rig is ready: the newest set has waited for it."""
        held, self._held = self._held, None
        if held is not None:
            self._hand_over(held)

    def _count_dropped(self, live_set: LiveSet, cause: str) -> None:
        self._monitor.engine.set_dropped(cause)
        for camera in live_set.images.frames:
            self._monitor.cameras[camera].images_dropped(cause)

    # CameraInfo and TF to rigs.

    def _on_info(self, camera: str, message: CameraInfo) -> None:
        if self._live_rig.add_info(camera, message):
            self._update_rig()

    def _on_static_transforms(self) -> None:
        self._live_rig.add_transforms()
        self._update_rig()
        self._on_moving_transforms()

    def _on_moving_transforms(self) -> None:
        if len(self._pose_queue):
            self._release()

    def _on_refused_transform(self, problem: str) -> None:
        self._monitor.transforms.transform_refused(problem, time.monotonic_ns())

    def _update_rig(self) -> None:
        """Prepares a changed rig in the background; the first one once it is whole."""
        rig = self._live_rig.changed_rig()
        if rig is not None:
            self._pending_rig = rig
        pending = self._pending_rig
        if pending is None or len(pending) < self._parameters.min_cameras:
            return
        if self._processor.is_ready or self._live_rig.is_complete or self._grace_is_over():
            self._pending_rig = None
            self._calibrator.put(pending)

    def _grace_is_over(self) -> bool:
        first_ns = self._first_set_ns
        return first_ns is not None and time.monotonic_ns() - first_ns >= RIG_GRACE_NS

    def _calibrate(self, rig: Rig) -> None:
        """In the calibration thread."""
        try:
            self._processor.calibrate(rig)
        except BevError as error:
            self._log.error(f"rig of {', '.join(rig)} cannot be used: {error}")
            return
        self._log.info(f"rig of {', '.join(rig)} is in use")
        self._rig_ready.trigger()

    # Time that goes backwards.

    def _on_clock_jump(self, jump: TimeJump) -> None:
        self._synchronizer.reset()
        self._jumps_counted = self._synchronizer.statistics.clock_jumps
        self._on_jump()

    def _on_jump(self) -> None:
        """Forgets what belongs to the time line that has ended; once per jump."""
        now_ns = time.monotonic_ns()
        if self._jumped_ns is not None and now_ns - self._jumped_ns < SAME_JUMP_NS:
            return
        self._jumped_ns = now_ns
        self._log.info("time went backwards (a bag loop or a simulator reset); going on from there")
        self._transforms.forget_moving()
        self._pose_queue.clear()
        self._worker.clear()
        self._held = None

    # What became of it.

    def _on_first_output(self, cameras_used: int) -> None:
        """In the worker thread."""
        self._log.info(f"first grid is out, from {cameras_used} cameras")

    def _on_crash(self, error: BaseException) -> None:
        """In a worker thread."""
        if not self._node.context.ok():
            return  # Ctrl-C has ended ROS while the thread was publishing
        self._monitor.engine.failed(f"{type(error).__name__}: {error}")
        if isinstance(error, BevError):
            self._log.error(str(error), throttle_duration_sec=LOG_PERIOD_S)
        else:
            self._log.error(
                "".join(traceback.format_exception(error)), throttle_duration_sec=LOG_PERIOD_S
            )

    def _diagnose(self) -> None:
        """By the steady clock, so it also runs while the node's clock stands still."""
        self._update_rig()
        self._release()
        self._monitor.publish(self._synchronizer.statistics, self._live_rig.problems)

    def _one_shot(self, period_ns: int, callback: Callable[[], None]) -> Timer:
        """A timer on the node's clock that is reset when there is something to wait for."""
        timer = self._node.create_timer(period_ns / NANOSECONDS, callback)
        timer.cancel()
        return timer
