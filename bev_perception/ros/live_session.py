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

from rclpy.clock import Clock, ClockType, JumpHandle, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from bev_perception.errors import BevError, CalibrationError
from bev_perception.geometry import Rig
from bev_perception.geometry.point_values import POINT_VALUES
from bev_perception.geometry.rig_file import RigFileCamera
from bev_perception.inference import Engine
from bev_perception.perception import PipelineSettings, Synchronizer
from bev_perception.ros.camera_inputs import CameraInput, PendingImage
from bev_perception.ros.cloud_input import CloudInput
from bev_perception.ros.ego_pose import EgoPoses
from bev_perception.ros.flood_limits import TransformLimit
from bev_perception.ros.imu_input import ImuInput
from bev_perception.ros.live_rig import LiveRig
from bev_perception.ros.node_monitor import NodeMonitor
from bev_perception.ros.one_shot import OneShot
from bev_perception.ros.parameters import NodeParameters
from bev_perception.ros.process_monitor import ProcessMonitor
from bev_perception.ros.publishers import OutputPublishers
from bev_perception.ros.rectified_cameras import rectified_cameras
from bev_perception.ros.rig_upkeep import RigUpkeep
from bev_perception.ros.set_handover import CLOSE_PATIENCE_S, ImageSet, SetHandover
from bev_perception.ros.set_processor import SetProcessor
from bev_perception.ros.timing_watch import CLOSED_WHILE_HANGING, TimingWatch
from bev_perception.ros.transform_input import TransformInput

SAME_JUMP_NS = 1_000_000_000
"""Signs of a clock set back that come within this time are of one jump."""

LOOK_PERIOD_S = 0.1
"""So often it is looked whether something has become better or worse; that is published at once."""

LOG_PERIOD_S = 5.0


class LiveSession:
    """From activation to deactivation.

    Args:
        node: whose name, clock and executor are used.
        parameters: of the node.
        overrides: what the rig file says, by camera.
        engine: the network.
        facts: of the engine, asked for diagnostics.
        publishers: for the output.
        process: for diagnostics; None where nobody supervises this process.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        overrides: Mapping[str, RigFileCamera],
        engine: Engine,
        facts: Callable[[], Mapping[str, str]],
        publishers: OutputPublishers,
        process: ProcessMonitor | None = None,
    ) -> None:
        self._node = node
        self._monitor = monitor = NodeMonitor(node, parameters, overrides, facts, process)
        self._jumped_ns: int | None = None
        self._jumps_counted = 0
        self._anchor_ns: int | None = None
        self._synchronizer: Synchronizer[PendingImage] = Synchronizer(
            parameters.cameras,
            parameters.sync_tolerance_ns,
            parameters.sync_timeout_ns,
            parameters.min_cameras,
        )
        self._anchor_timer = OneShot(node, parameters.sync_timeout_ns, self._give_up)
        self._processor = SetProcessor(
            engine, parameters, publishers, monitor, node.get_clock(), self._on_first_output
        )
        self._transforms = TransformInput(
            node,
            on_moving=self._on_moving_transforms,
            on_static=self._on_static_transforms,
            on_jump=self._on_jump,
            on_refused=self._on_refused_transform,
            limit=TransformLimit(parameters.max_tf_rate_hz, parameters.max_tf_frames),
            base_frame=parameters.base_frame,
        )
        tree = self._transforms.tree
        info_topics = {
            name: node.resolve_topic_name(f"~/input/{name}/camera_info")
            for name in parameters.cameras
        }
        rectified = rectified_cameras(node, parameters)
        self._live_rig = LiveRig(info_topics, tree, parameters.base_frame, rectified, overrides)
        self._rig_upkeep = RigUpkeep(
            self._live_rig,
            parameters.min_cameras,
            self._calibrate,
            self._on_crash,
            parameters.min_recalibration_s,
        )
        patience_ns = parameters.tf_timeout_ns
        poses = EgoPoses(tree, parameters.base_frame, parameters.world_frame, patience_ns)
        self._clouds: CloudInput | None = None
        if engine.config.sensor != "none" or parameters.labelled_points:
            values = POINT_VALUES[engine.config.sensor]
            self._clouds = CloudInput(node, parameters, tree, poses, monitor.points, values)
            self._processor.clouds = self._clouds.at
        self._imu: ImuInput | None = None
        self._handover = SetHandover(
            node,
            poses,
            parameters.tf_timeout_ns,
            self._processor,
            monitor,
            self._on_crash,
        )
        if parameters.imu:
            self._imu = ImuInput(node, parameters.base_frame, tree, poses, monitor.imu)
            self._handover.levelling = self._imu.at
        self._rig_ready = node.create_guard_condition(self._handover.release_held)
        self._diagnostics_timer = node.create_timer(
            parameters.diagnostics_period_s,
            self._diagnose,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._look_timer = node.create_timer(
            min(LOOK_PERIOD_S, parameters.diagnostics_period_s),
            self._look,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._timing_watch = TimingWatch(node, self._processor.watchdog, monitor, self._diagnose)
        self._jump_handle = self._watch_clock(parameters.sync_timeout_ns)
        self._inputs = [
            CameraInput(node, monitor.cameras[name], parameters, self._on_image, self._on_info)
            for name in parameters.cameras
        ]
        self._rig_upkeep.update()

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
        if self._clouds is not None:
            self._clouds.close()
        if self._imu is not None:
            self._imu.close()
        self._transforms.close()
        self._jump_handle.unregister()
        self._anchor_timer.close()
        self._node.destroy_timer(self._diagnostics_timer)
        self._node.destroy_timer(self._look_timer)
        self._timing_watch.close()
        if not self._handover.close():
            self._node.get_logger().error(CLOSED_WHILE_HANGING)
        if self._rig_upkeep.close(CLOSE_PATIENCE_S):
            self._node.destroy_guard_condition(self._rig_ready)
        self._monitor.close()

    # Images to sets.

    def _on_image(self, image: PendingImage) -> None:
        self._live_rig.add_image_frame(image.camera, image.message.header.frame_id)
        self._take(self._synchronizer.add(image))

    def _give_up(self) -> None:
        """The present anchor has waited for the other cameras long enough."""
        self._anchor_ns = None
        self._take(self._synchronizer.give_up())

    def _take(self, sets: list[ImageSet]) -> None:
        """Hands sets on; the timer follows the anchor of the next one."""
        jumps = self._synchronizer.statistics.clock_jumps
        if jumps != self._jumps_counted:
            self._jumps_counted = jumps
            self._on_jump()
        anchor_ns = self._synchronizer.waiting_stamp_ns
        if anchor_ns is None:
            self._anchor_timer.cancel()
        elif anchor_ns != self._anchor_ns:
            self._anchor_timer.set()
            self._handover.expect(anchor_ns)
        self._anchor_ns = anchor_ns
        for found in sets:
            for camera in found.frames:
                self._monitor.cameras[camera].image_used()
            self._rig_upkeep.note_set()
            self._rig_upkeep.update()
            self._handover.add(found)

    # CameraInfo and TF to rigs.

    def _on_info(self, camera: str, message: CameraInfo | CalibrationError) -> None:
        if self._live_rig.add_info(camera, message):
            self._monitor.cameras[camera].info_changed()
            self._rig_upkeep.update()

    def _on_static_transforms(self) -> None:
        self._live_rig.add_transforms()
        self._rig_upkeep.update()
        self._on_moving_transforms()

    def _on_moving_transforms(self) -> None:
        if self._clouds is not None:
            self._clouds.look()
        self._handover.look()

    def _on_refused_transform(self, problem: str) -> None:
        self._monitor.transforms.transform_refused(problem, time.monotonic_ns())

    def _calibrate(self, rig: Rig) -> None:
        """In the calibration thread."""
        try:
            self._processor.calibrate(rig)
        except BevError as error:
            problem = f"the rig of {', '.join(rig)} cannot be used: {error}"
            self._node.get_logger().error(problem)
            self._monitor.engine.rig_refused(problem)
            return
        self._monitor.engine.rig_refused("")
        self._node.get_logger().info(f"rig of {', '.join(rig)} is in use")
        self._rig_ready.trigger()

    # Time that goes backwards.

    def _watch_clock(self, tolerance_ns: int) -> JumpHandle:
        threshold = JumpThreshold(
            min_forward=None,
            min_backward=Duration(nanoseconds=-tolerance_ns),
            on_clock_change=False,
        )
        return self._node.get_clock().create_jump_callback(
            threshold, post_callback=self._on_clock_jump
        )

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
        self._node.get_logger().info(
            "time went backwards (a bag loop or a simulator reset); going on from there"
        )
        self._transforms.forget_moving()
        self._handover.forget("clock jump")
        if self._clouds is not None:
            self._clouds.forget()
        if self._imu is not None:
            self._imu.forget()

    # What became of it.

    def _look(self) -> None:
        """By the steady clock, so it also runs while the node's clock stands still."""
        self._rig_upkeep.update()
        self._anchor_timer.check()
        self._handover.check_patience()
        self._monitor.look(self._synchronizer.statistics, self._live_rig.problems)

    def _diagnose(self) -> None:
        self._monitor.publish(self._synchronizer.statistics, self._live_rig.problems)

    def _on_first_output(self, cameras_used: int) -> None:
        """In the worker thread."""
        self._node.get_logger().info(f"first grid is out, from {cameras_used} cameras")

    def _on_crash(self, error: BaseException) -> None:
        """In a worker thread."""
        if not self._node.context.ok():
            return  # Ctrl-C has ended ROS while the thread was publishing
        self._monitor.engine.failed(f"{type(error).__name__}: {error}")
        if isinstance(error, BevError):
            text = str(error)
        else:
            text = "".join(traceback.format_exception(error))
        self._node.get_logger().error(text, throttle_duration_sec=LOG_PERIOD_S)
