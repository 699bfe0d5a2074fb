# SPDX-License-Identifier: Apache-2.0
"""What happens to a set in the worker thread: decoded, perceived, published, timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock

from bev_perception.errors import BagError, CalibrationError
from bev_perception.geometry import BevOutput, CameraFrame, FrameSet, Rig, RigidTransform
from bev_perception.inference import Engine, give_back_memory
from bev_perception.perception import (
    Calibration,
    Pipeline,
    PipelineSettings,
    SynchronizedSet,
    camera_health,
)
from bev_perception.perception.instance_cells import instance_cells
from bev_perception.perception.point_labels import labelled_points
from bev_perception.ros.camera_inputs import PendingImage
from bev_perception.ros.camera_status import Cause
from bev_perception.ros.ego_pose import EgoPose
from bev_perception.ros.node_monitor import NodeMonitor
from bev_perception.ros.noise_watch import NoiseWatch
from bev_perception.ros.parameters import NodeParameters
from bev_perception.ros.publishers import OutputPublishers
from bev_perception.ros.watchdog import Watchdog

MILLISECOND = 1_000_000
GIVE_BACK_EVERY_NS = 30_000_000_000

Clouds = Callable[[int, EgoPose], "NDArray[np.float64] | None"]
"""A set's stamp and pose to (N, 3) metres in base_link, None where there is no cloud."""


@dataclass(frozen=True, eq=False)
class LiveSet:
    """A synchronised set with its ego pose, ready to be processed.

    Attributes:
        images: not decoded yet.
        pose: at the set's stamp, or the newest before it.
        world_T_base, level_T_base: as FrameSet has them: roll and pitch perhaps by an IMU.
    """

    images: SynchronizedSet[PendingImage]
    pose: EgoPose
    world_T_base: RigidTransform | None = None
    level_T_base: RigidTransform | None = None

    @property
    def received_ns(self) -> int:
        """Steady time at which its newest image came, nanoseconds."""
        return max(image.received_ns for image in self.images.frames.values())


class SetProcessor:
    """Owns the pipeline. calibrate runs in one thread, process in another.

    Args:
        engine: the network.
        parameters: of the node.
        publishers: for the output.
        monitor: told what becomes of the images.
        clock: of the node.
        on_first_output: called once, with the number of cameras that the first output is from.

    Attributes:
        settings: of the pipeline; what is set holds from the next set on.
        on_inference: called in the thread of process when the network begins.
        clouds: asked for the points of every set that needs them.
        watchdog: told of every set's stages.
    """

    def __init__(
        self,
        engine: Engine,
        parameters: NodeParameters,
        publishers: OutputPublishers,
        monitor: NodeMonitor,
        clock: Clock,
        on_first_output: Callable[[int], object],
    ) -> None:
        self.settings: PipelineSettings = parameters.settings
        self.on_inference: Callable[[], object] = lambda: None
        self.clouds: Clouds = lambda stamp_ns, pose: None
        self.watchdog = Watchdog(parameters.watchdog_s)
        self._is_closed = False
        self._engine = engine
        self._min_cameras = parameters.min_cameras
        self._publishers = publishers
        self._monitor = monitor
        self._noise = NoiseWatch(monitor.cameras)
        self._clock = clock
        self._on_first_output: Callable[[int], object] | None = on_first_output
        self._pipeline: Pipeline | None = None
        self._calibration: Calibration | None = None
        self._last_set: FrameSet | None = None
        self._is_busy = False
        self._given_back_ns = time.monotonic_ns()
        self._tables = ThreadPoolExecutor(1, "tables")
        self._table: Future[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a rig is known."""
        return self._pipeline is not None

    def calibrate(self, rig: Rig) -> None:
        """Prepares everything for another rig; the next set uses it.

        Takes up to a second; sets go on with the rig before it meanwhile.

        Raises:
            CalibrationError: the rig cannot be used.
        """
        if self._pipeline is None:
            pipeline = Pipeline(self._engine, rig, self.settings)
            pipeline.calibration = pipeline.calibrate(rig)
            pipeline.on_inference = self._begin_inference
            pipeline.on_answer = lambda: self.watchdog.enter("objects")
            self._pipeline = pipeline
        else:
            self._calibration = self._pipeline.calibrate(rig, self._last_set)

    def expect(self, attitude: RigidTransform | None) -> None:
        """A set of this attitude begins to come: its tap table is built while it does.

        Not while another set is processed: then there is no time to win.
        """
        is_building = self._table is not None and not self._table.done()
        if self._pipeline is not None and not self._is_busy and not is_building:
            self._table = self._tables.submit(self._pipeline.expect, attitude)

    def close(self) -> None:
        """Ends the tables' thread; nothing is processed or published any more."""
        self._is_closed = True
        self._tables.shutdown()

    def process(self, live_set: LiveSet) -> None:
        """One set, from messages to messages."""
        self._is_busy = True
        self.watchdog.begin("decode")
        try:
            self._process(live_set)
        finally:
            self.watchdog.end()
            self._is_busy = False
        if time.monotonic_ns() - self._given_back_ns > GIVE_BACK_EVERY_NS:
            give_back_memory()
            self._given_back_ns = time.monotonic_ns()

    def _begin_inference(self) -> None:
        self.watchdog.enter("engine")
        self.on_inference()

    def _process(self, live_set: LiveSet) -> None:
        pipeline = self._pipeline
        if pipeline is None:
            return
        started_ns = time.monotonic_ns()
        if self.watchdog.is_stale(live_set.received_ns):
            self._drop_late(live_set, "wait")
            return
        pipeline.calibration = self._calibration or pipeline.calibration
        if pipeline.settings is not self.settings:
            pipeline.settings = self.settings
        frames = self._decoded(live_set, pipeline.rig)
        decoded_ns = time.monotonic_ns()
        if len(frames) < self._min_cameras:
            self._monitor.engine.set_dropped("too few cameras")
            return
        self._last_set = replace(
            _frame_set(live_set, frames, pipeline.rig), points=self._points(live_set)
        )
        self.watchdog.enter("prepare")
        output = _perceive(pipeline, self._last_set)
        self._tell_state(pipeline)
        if self._is_closed:
            return
        decode_ms = (decoded_ns - started_ns) / MILLISECOND
        if self.watchdog.hang() is not None:
            self._drop_late(live_set, _longest_stage({**output.timings_ms, "decode": decode_ms}))
            return
        self.watchdog.enter("publish")
        perceived_ns = time.monotonic_ns()
        self._publish(self._last_set, output, pipeline.settings)
        published_ns = time.monotonic_ns()
        own_timings_ms = {
            "wait": (started_ns - live_set.received_ns) / MILLISECOND,
            "decode": decode_ms,
            "publish": (published_ns - perceived_ns) / MILLISECOND,
        }
        self._tell_latencies(live_set, output, own_timings_ms, published_ns)
        self._noise.look(frames)
        if self._on_first_output is not None:
            self._on_first_output(sum(health.ok for health in output.health.values()))
            self._on_first_output = None

    def _tell_state(self, pipeline: Pipeline) -> None:
        """Diagnostics of what the pipeline found out and keeps."""
        self._monitor.residual_pose.measured(pipeline.residual, pipeline.correction)
        self._monitor.engine.remembers(pipeline.memory.status)
        kept = pipeline.calibration
        self._monitor.engine.keeps_tables(kept.tables_kept, kept.kept_bytes)

    def _publish(self, frame_set: FrameSet, output: BevOutput, settings: PipelineSettings) -> None:
        for camera, health in output.health.items():
            self._monitor.cameras[camera].health(health)
        self._publishers.publish(output, settings.occupancy_threshold)
        if self._publishers.wants_instances:
            table = instance_cells(output, settings)
            self._publishers.publish_instances(output.stamp_ns, table)
        self._publish_labels(frame_set, output, settings)

    def _tell_latencies(
        self,
        live_set: LiveSet,
        output: BevOutput,
        own_timings_ms: Mapping[str, float],
        published_ns: int,
    ) -> None:
        """The pipeline's stages, the node's own and their sums, to topic and diagnostics."""
        total_ms = (published_ns - live_set.received_ns) / MILLISECOND
        age_ns = self._clock.now().nanoseconds - output.stamp_ns
        timings_ms = {
            **output.timings_ms,
            **own_timings_ms,
            "total": total_ms,
            "node": total_ms - output.timings_ms.get("engine", 0.0),
            "age": age_ns / MILLISECOND,
        }
        self._publishers.publish_latencies(timings_ms)
        self._monitor.engine.set_published(timings_ms, published_ns)
        self._monitor.timing.set_published(timings_ms, published_ns)

    def _drop_late(self, live_set: LiveSet, stage: str) -> None:
        """Not published: what it shows has been too long ago."""
        now_ns = time.monotonic_ns()
        total_ms = (now_ns - live_set.received_ns) / MILLISECOND
        self._monitor.engine.set_dropped("too late")
        self._monitor.timing.set_too_late(total_ms, stage, now_ns)
        for camera in live_set.images.frames:
            self._monitor.cameras[camera].images_dropped("too late")

    def _points(self, live_set: LiveSet) -> NDArray[np.float64] | None:
        if self._engine.config.sensor == "none" and not self._publishers.wants_points:
            return None
        return self.clouds(live_set.images.stamp_ns, live_set.pose)

    def _publish_labels(
        self, frame_set: FrameSet, output: BevOutput, settings: PipelineSettings
    ) -> None:
        if frame_set.points is None or not self._publishers.wants_points:
            return
        threshold, height_m = settings.occupancy_threshold, settings.object_height_m
        table = labelled_points(frame_set.points, output, threshold, height_m)
        self._publishers.publish_points(output.stamp_ns, table)

    def _decoded(self, live_set: LiveSet, rig: Rig) -> dict[str, CameraFrame]:
        """Images of the rig's cameras, those left out that cannot be read."""
        frames = {}
        for camera, image in live_set.images.frames.items():
            if camera not in rig:
                continue
            try:
                frames[camera] = image.decode()
            except BagError as error:
                self._monitor.cameras[camera].image_refused(str(error), Cause.UNDECODABLE)
        return frames


def _longest_stage(timings_ms: Mapping[str, float]) -> str:
    return max(
        (stage for stage in timings_ms if stage != "total"), key=lambda stage: timings_ms[stage]
    )


def _frame_set(live_set: LiveSet, frames: Mapping[str, CameraFrame], rig: Rig) -> FrameSet:
    missing = tuple(camera for camera in rig if camera not in frames)
    stamp_ns, pose = live_set.images.stamp_ns, live_set.world_T_base
    level_T_base, told = live_set.level_T_base, live_set.pose
    origin = told.world_frame, told.motion_age_ns
    return FrameSet(stamp_ns, frames, missing, pose, None, level_T_base, *origin)


def _perceive(pipeline: Pipeline, frame_set: FrameSet) -> BevOutput:
    """Output of a set; all unknown where no image has the size of its calibration."""
    try:
        return pipeline.process(frame_set)
    except CalibrationError:
        health = {
            camera: camera_health(frame_set.frames.get(camera), pipeline.rig[camera])
            for camera in pipeline.rig
        }
        return replace(pipeline.process(replace(frame_set, frames={})), health=health)
