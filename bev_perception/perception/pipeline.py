# SPDX-License-Identifier: Apache-2.0
"""From one synchronised set to occupancy and objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import CalibrationError
from bev_perception.geometry import BevOutput, CameraHealth, FrameSet, Rig, RigidTransform
from bev_perception.geometry.frames import levelled
from bev_perception.inference import Engine, RawOutput
from bev_perception.model import TapTable, build_tap_table
from bev_perception.perception.health import camera_health
from bev_perception.perception.objects import find_objects
from bev_perception.perception.preparation import Preparation, check_size
from bev_perception.perception.settings import DEFAULT_SETTINGS, PipelineSettings
from bev_perception.perception.tracker import Tracker
from bev_perception.perception.unknown import seen_cells

STAGES = ("prepare", "table", "engine", "objects", "total")
"""Keys of BevOutput.timings_ms."""


@dataclass(frozen=True)
class _Table:
    """A tap table and what it was made for."""

    present: tuple[bool, ...]
    level_T_base: RigidTransform
    taps: TapTable
    unknown: NDArray[np.bool_]


class Pipeline:
    """Preparation, tap table, engine, unknown cells, objects and, if chosen, tracking.

    The tap table is kept while the rig and the usable cameras are the same and the
    vehicle's attitude stays within level_tolerance_deg of the table's. Not thread-safe: image
    buffers are used again.

    Args:
        engine: the network.
        rig: calibration of the images as they come, extrinsics to base_link.
        settings: thresholds and tolerances.
    """

    def __init__(
        self, engine: Engine, rig: Rig, settings: PipelineSettings = DEFAULT_SETTINGS
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.tracker = Tracker() if settings.track else None
        self.tables_built = 0
        self.rig = rig

    @property
    def rig(self) -> Rig:
        """Calibration in use; setting another one rebuilds what depends on it."""
        return self._rig

    @rig.setter
    def rig(self, rig: Rig) -> None:
        self._rig = rig
        self._preparation = Preparation(rig, self.engine.config.image_size)
        self._images = self._preparation.empty_images()
        self._table: _Table | None = None

    def process(self, frame_set: FrameSet) -> BevOutput:
        """One moment.

        A camera that is missing, of the wrong size, black or of one colour is left out and
        named in the output's health; without any usable camera every cell is unknown.

        Raises:
            CalibrationError: the set holds a camera that the rig lacks, or no image has the
                size that its calibration says.
        """
        started = perf_counter()
        health = self._health(frame_set)
        usable = {name: frame for name, frame in frame_set.frames.items() if health[name].ok}
        prepared = self._preparation.prepare(replace(frame_set, frames=usable), self._images)
        prepared_at = perf_counter()
        pose = frame_set.world_T_base
        level_T_base = (
            levelled(pose)
            if pose is not None and self.settings.level
            else RigidTransform.identity()
        )
        table = self._table_for(tuple(prepared.present.tolist()), level_T_base)
        table_at = perf_counter()
        raw = (
            self.engine.infer(prepared.images, table.taps)
            if prepared.present.any()
            else self._nothing()
        )
        engine_at = perf_counter()
        grid = self.engine.config.grid
        objects = find_objects(grid, raw.probability, raw.center, raw.offset, self.settings)
        if self.tracker is not None:
            world_T_level = None if pose is None else pose @ table.level_T_base.inverse()
            objects = self.tracker.update(objects, frame_set.stamp_ns, world_T_level)
        moments = (started, prepared_at, table_at, engine_at, perf_counter())
        return BevOutput(
            stamp_ns=frame_set.stamp_ns,
            grid=grid,
            probability=raw.probability,
            unknown=table.unknown,
            center=raw.center,
            offset=raw.offset,
            objects=objects,
            health=health,
            timings_ms=_timings_ms(moments),
            level_T_base=table.level_T_base,
        )

    def _health(self, frame_set: FrameSet) -> Mapping[str, CameraHealth]:
        unknown = [name for name in frame_set.frames if name not in self._rig.cameras]
        if unknown:
            raise CalibrationError(
                f"images of cameras {', '.join(unknown)}, but the rig knows only "
                f"{', '.join(self._rig.names)}"
            )
        health = {
            name: camera_health(frame_set.frames.get(name), self._rig[name])
            for name in self._rig.names
        }
        if frame_set.frames and not any(health[name].ok for name in frame_set.frames):
            for frame in frame_set.frames.values():
                check_size(frame, self._rig[frame.camera])
        return health

    def _table_for(self, present: tuple[bool, ...], level_T_base: RigidTransform) -> _Table:
        table = self._table
        tolerance = np.radians(self.settings.level_tolerance_deg)
        if (
            table is not None
            and table.present == present
            and table.level_T_base.angle_to(level_T_base) <= tolerance
        ):
            return table
        config = self.engine.config
        taps = build_tap_table(self._preparation.rig.moved(level_T_base), config, present)
        seen = taps.seen
        if self._preparation.adds_rows:
            source_rig = self._rig.moved(level_T_base)
            seen = seen_cells(source_rig, config.grid, config.heights_m, present)
        unknown = ~seen
        unknown.setflags(write=False)
        self._table = _Table(present, level_T_base, taps, unknown)
        self.tables_built += 1
        return self._table

    def _nothing(self) -> RawOutput:
        shape = self.engine.config.grid.shape
        return RawOutput(
            np.zeros(shape, dtype=np.float32),
            np.zeros(shape, dtype=np.float32),
            np.zeros((2, *shape), dtype=np.float32),
        )


def _timings_ms(moments: tuple[float, ...]) -> dict[str, float]:
    """Stage durations from the five moments at which stages began and the last one ended."""
    durations = [(after - before) * 1e3 for before, after in pairwise(moments)]
    return dict(zip(STAGES, [*durations, (moments[-1] - moments[0]) * 1e3]))
