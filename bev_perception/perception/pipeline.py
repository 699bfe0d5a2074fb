# SPDX-License-Identifier: Apache-2.0
"""From one synchronised set to occupancy and objects."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from time import perf_counter

import numpy as np
from torch import Tensor

from bev_perception.errors import CalibrationError
from bev_perception.geometry import (
    BevOutput,
    CameraHealth,
    FrameSet,
    ObjectBox,
    Rig,
    RigidTransform,
)
from bev_perception.geometry.class_map import ClassMap
from bev_perception.geometry.point_values import moved_points
from bev_perception.inference import Engine, RawOutput, infer, make_room, takes_raw_images
from bev_perception.model import ImageResize
from bev_perception.model.sensor_map import cloud_map
from bev_perception.perception.calibration import Calibration, LiftTable, settled_attitude
from bev_perception.perception.health import camera_health
from bev_perception.perception.object_classes import classified
from bev_perception.perception.object_velocities import with_velocities
from bev_perception.perception.objects import find_objects
from bev_perception.perception.preparation import PreparedSet, check_size
from bev_perception.perception.residual_correction import ResidualCorrection
from bev_perception.perception.settings import DEFAULT_SETTINGS, PipelineSettings
from bev_perception.perception.stream_memory import StreamMemory
from bev_perception.perception.tracker import Tracker
from bev_perception.residual_pose import NO_CORRECTION, PoseCorrection, PoseResidual

STAGES = ("prepare", "table", "engine", "objects", "total")
"""Keys of BevOutput.timings_ms."""


class Pipeline:
    """Preparation, tap table, engine, unknown cells, objects and, if chosen, tracking.

    What it says of a set depends on that set alone, but for the ids and velocities of
    tracking, and for networks with memory. One thread processes. Between two sets it may change
    the settings, or put another calibration in place, which another thread may have made
    meanwhile.

    Args:
        engine: the network.
        rig: calibration of the images as they come, extrinsics to base_link.
        settings: thresholds and tolerances.

    Attributes:
        settings: in use from the next set on.
        calibration: in use from the next set on; see calibrate.
        tables_built: tap tables that sets had to wait for.
        memory: what the network remembers of the sets before.
        on_inference: called in process when the network begins.
        on_answer: called in process when the network has answered.
    """

    def __init__(
        self, engine: Engine, rig: Rig, settings: PipelineSettings = DEFAULT_SETTINGS
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.calibration = Calibration(rig, engine.config)
        self.tables_built = 0
        self.on_inference: Callable[[], object] = lambda: None
        self.on_answer: Callable[[], object] = lambda: None
        self.memory = StreamMemory(engine.config.memory)
        self._tracker = Tracker()
        self._helper = ThreadPoolExecutor(max_workers=1) if (os.cpu_count() or 1) > 1 else None
        self._residual = ResidualCorrection(self._helper)

    @property
    def rig(self) -> Rig:
        """Calibration in use; setting another one makes the next set wait for its table."""
        return self.calibration.rig

    @rig.setter
    def rig(self, rig: Rig) -> None:
        self.calibration = Calibration(rig, self.engine.config)

    @property
    def residual(self) -> PoseResidual | None:
        """Measured errors of attitude and height; None where they are not looked for."""
        return self._residual.residual if self.settings.residual_pose else None

    @property
    def correction(self) -> PoseCorrection:
        """What is taken out of the lift of the next set."""
        return self._residual.correction if self.settings.residual_pose else NO_CORRECTION

    def calibrate(self, rig: Rig, like: FrameSet | None = None) -> Calibration:
        """Makes everything that another rig needs: tap table, and engine where it needs another.

        Touches nothing that process uses, so another thread may call it while sets are
        processed. Then set the attribute ``calibration``.

        Args:
            rig: as for the constructor.
            like: a recent set, whose cameras and attitude the next one probably shares;
                default all cameras on level ground.
        """
        calibration = Calibration(rig, self.engine.config)
        present = tuple(like is None or name in like.frames for name in rig.names)
        attitude = None if like is None else like.attitude
        table = calibration.table(present, _settled(attitude, self.settings))
        make_room(self.engine, table.taps)
        return calibration

    def expect(self, attitude: RigidTransform | None) -> None:
        """Builds the tap table for a set to come, in which no camera is missing.

        Any thread may call it, while a set is processed, too.

        Args:
            attitude: of the vehicle at that set's stamp, as FrameSet.attitude.
        """
        calibration = self.calibration
        present = (True,) * len(calibration.rig)
        calibration.table(present, _settled(attitude, self.settings), self.correction)

    def observe(self, frame_set: FrameSet) -> None:
        """Measures the residual pose, if chosen, in a set that the network is not asked about."""
        calibration = self.calibration
        if self.settings.residual_pose:
            self._residual.settle(calibration)
            health = _health(frame_set, calibration.rig)
            self._residual.observe(_usable(frame_set, health), lambda changed: None)

    def settle(self) -> None:
        """Waits until the residual pose of the sets so far is measured."""
        if self.settings.residual_pose:
            self._residual.settle(self.calibration)

    def process(self, frame_set: FrameSet) -> BevOutput:
        """One moment.

        A camera that is missing, of the wrong size, black or of one colour is left out and
        named in the output's health; without any usable camera every cell is unknown.

        Raises:
            CalibrationError: the set holds a camera that the rig lacks, or no image has the
                size that its calibration says.
        """
        settings, calibration = self.settings, self.calibration
        started = perf_counter()
        correction = self._residual.settle(calibration) if settings.residual_pose else NO_CORRECTION
        health = _health(frame_set, calibration.rig)
        usable = _usable(frame_set, health)
        prepared, resize = self._prepared(usable, calibration)
        prepared_at = perf_counter()
        built = calibration.tables_built
        present = tuple(prepared.present.tolist())
        attitude = _settled(frame_set.attitude, settings)
        table = calibration.table(present, attitude, correction)
        self.tables_built += calibration.tables_built - built
        self.on_inference()
        table_at = perf_counter()
        raw = self._inferred(frame_set, prepared, table, resize)
        engine_at = perf_counter()
        self.on_answer()
        objects = self._objects(frame_set, raw, table.level_T_base, settings)
        if settings.residual_pose:
            self._residual.observe(
                usable, lambda changed: calibration.table(present, attitude, changed)
            )
        moments = (started, prepared_at, table_at, engine_at, perf_counter())
        return BevOutput(
            stamp_ns=frame_set.stamp_ns,
            grid=self.engine.config.grid,
            probability=raw.probability,
            unknown=table.unknown,
            center=raw.center,
            offset=raw.offset,
            objects=objects,
            health=health,
            timings_ms=_timings_ms(moments),
            level_T_base=table.level_T_base,
            level_T_told=table.level_T_told,
            class_map=self._class_map(raw),
        )

    def _prepared(
        self, frame_set: FrameSet, calibration: Calibration
    ) -> tuple[PreparedSet, ImageResize | None]:
        """The network's images, and what resizes them where its graph does that."""
        preparation = calibration.preparation
        if takes_raw_images(self.engine):
            return preparation.raw(frame_set), preparation.resize
        return preparation.prepare(frame_set, calibration.images, self._helper), None

    def _inferred(
        self,
        frame_set: FrameSet,
        prepared: PreparedSet,
        table: LiftTable,
        resize: ImageResize | None,
    ) -> RawOutput:
        """What the network says, with its memory and the set's point cloud where it takes them."""
        step = self.memory.step(frame_set, table.level_T_base)
        if not prepared.present.any():
            return self._nothing()
        measured = self._measured(frame_set, table.level_T_told)
        return infer(
            self.engine, prepared.images, table.taps, resize, step, measured, prepared.rig_id
        )

    def _measured(self, frame_set: FrameSet, level_T_told: RigidTransform) -> Tensor | None:
        """The sensor's map, for networks that take one; of nothing without a cloud."""
        if self.engine.config.sensor == "none":
            return None
        points = frame_set.points
        if points is not None:
            points = moved_points(level_T_told, points)
        return cloud_map(points, self.engine.config)

    def _objects(
        self,
        frame_set: FrameSet,
        raw: RawOutput,
        level_T_base: RigidTransform,
        settings: PipelineSettings,
    ) -> tuple[ObjectBox, ...]:
        """Objects with the network's velocities where it has any, tracked if chosen."""
        objects, pose = self._found(raw, settings), frame_set.world_T_base
        if raw.velocity is not None:
            grid = self.engine.config.grid
            objects = with_velocities(objects, grid, raw.velocity, raw.probability)
        if settings.track:
            world_T_level = None if pose is None else pose @ level_T_base.inverse()
            moment = frame_set.stamp_ns, world_T_level, frame_set.world_frame
            objects = self._tracker.update(objects, *moment, frame_set.pose_age_ns)
        return objects

    def _found(self, raw: RawOutput, settings: PipelineSettings) -> tuple[ObjectBox, ...]:
        """Objects of this moment alone."""
        config, maps = self.engine.config, (raw.probability, raw.center, raw.offset)
        class_map = self._class_map(raw)
        objects = find_objects(config.grid, *maps, settings, class_map)
        if class_map is None:
            return objects
        return classified(objects, config.grid, class_map, settings.object_label)

    def _class_map(self, raw: RawOutput) -> ClassMap | None:
        if raw.class_probability is None:
            return None
        return ClassMap(raw.class_probability, self.engine.config.classes)

    def _nothing(self) -> RawOutput:
        shape, count = self.engine.config.grid.shape, len(self.engine.config.classes)
        return RawOutput(
            np.zeros(shape, dtype=np.float32),
            np.zeros(shape, dtype=np.float32),
            np.zeros((2, *shape), dtype=np.float32),
            np.zeros((count, *shape), dtype=np.float32) if count > 1 else None,
        )


def _health(frame_set: FrameSet, rig: Rig) -> Mapping[str, CameraHealth]:
    unknown = [name for name in frame_set.frames if name not in rig.cameras]
    if unknown:
        raise CalibrationError(
            f"images of cameras {', '.join(unknown)}, but the rig knows only {', '.join(rig.names)}"
        )
    health = {name: camera_health(frame_set.frames.get(name), rig[name]) for name in rig.names}
    if frame_set.frames and not any(health[name].ok for name in frame_set.frames):
        for frame in frame_set.frames.values():
            check_size(frame, rig[frame.camera])
    return health


def _usable(frame_set: FrameSet, health: Mapping[str, CameraHealth]) -> FrameSet:
    """The set with the images that can be used alone."""
    frames = {name: frame for name, frame in frame_set.frames.items() if health[name].ok}
    return replace(frame_set, frames=frames)


def _settled(attitude: RigidTransform | None, settings: PipelineSettings) -> RigidTransform:
    if attitude is None or not settings.level:
        return RigidTransform.identity()
    return settled_attitude(attitude, settings.level_tolerance_deg)


def _timings_ms(moments: tuple[float, ...]) -> dict[str, float]:
    """Stage durations from the five moments at which stages began and the last one ended."""
    durations = [(after - before) * 1e3 for before, after in pairwise(moments)]
    return dict(zip(STAGES, [*durations, (moments[-1] - moments[0]) * 1e3]))
