# SPDX-License-Identifier: Apache-2.0
"""Everything that depends on a rig alone, ready to use."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import Rig, RigidTransform
from bev_perception.model import LiftGeometry, SegnetConfig, build_lift_geometry
from bev_perception.perception.preparation import Preparation
from bev_perception.perception.unknown import seen_cells
from bev_perception.residual_pose import NO_CORRECTION, PoseCorrection

KEPT_BYTES = 1 << 27
"""Memory that the tap tables of one calibration may take; the newest one always stays."""


@dataclass(frozen=True, eq=False)
class LiftTable:
    """The lift of one attitude of the vehicle with some of its cameras.

    Attributes:
        level_T_base: the attitude.
        level_T_told: takes points that sensors tell in base_link there, residual errors of
            attitude and height taken out.
        taps: for the engine.
        unknown: (num_y, num_x) bool, read-only; cells that none of the cameras sees.
    """

    level_T_base: RigidTransform
    level_T_told: RigidTransform
    taps: LiftGeometry
    unknown: NDArray[np.bool_]


class Calibration:
    """A rig with its image preparation and its lift's tables.

    Tables are kept, so that a camera that comes and goes, or a vehicle that rocks, does not
    cost a new one each time. Any thread may ask for a table; who asks for one that another
    thread is building waits for it. The rest is for one thread at a time.

    Args:
        rig: calibration of the images as they come, extrinsics to base_link.
        config: of the network.
        limit_bytes: memory that its tap tables may take; default KEPT_BYTES.

    Raises:
        ConfigurationError: the network takes no such images.

    Attributes:
        rig: as given.
        preparation: of its images.
        images: (S, H, W, 3) uint8, buffer for prepared images, used again for every set.
        tables_built: how many so far.
        tables_kept: how many there are now.
        kept_bytes: memory that they take.
    """

    def __init__(self, rig: Rig, config: SegnetConfig, limit_bytes: int | None = None) -> None:
        self.rig = rig
        self.preparation = Preparation(rig, config.image_size, config.virtual_cameras)
        self.images = self.preparation.empty_images()
        self.tables_built = self.tables_kept = self.kept_bytes = 0
        self._config = config
        self._limit_bytes = limit_bytes
        self._tables: OrderedDict[
            tuple[tuple[bool, ...], RigidTransform, PoseCorrection], LiftTable
        ] = OrderedDict()
        self._lock = Lock()

    def table(
        self,
        present: tuple[bool, ...],
        level_T_base: RigidTransform,
        correction: PoseCorrection = NO_CORRECTION,
    ) -> LiftTable:
        """The lift's table, built if it is not kept.

        Args:
            present: per camera in rig order, whether its image can be used.
            level_T_base: the vehicle's attitude, see settled_attitude.
            correction: of the rig, as images show it.
        """
        key = present, level_T_base, correction
        with self._lock:
            table = self._tables.get(key)
            if table is None:
                table = self._tables[key] = self._built(present, level_T_base, correction)
                self.kept_bytes += table.taps.num_bytes
            self._tables.move_to_end(key)
            limit = KEPT_BYTES if self._limit_bytes is None else self._limit_bytes
            while len(self._tables) > 1 and self.kept_bytes > limit:
                self.kept_bytes -= self._tables.popitem(last=False)[1].taps.num_bytes
            self.tables_kept = len(self._tables)
        return table

    def _built(
        self, present: tuple[bool, ...], level_T_base: RigidTransform, correction: PoseCorrection
    ) -> LiftTable:
        config = self._config
        prepared = correction.applied(self.preparation.rig).moved(level_T_base)
        taps = build_lift_geometry(prepared, config, present, rig_id=self.preparation.rig_id)
        seen = taps.seen
        if self.preparation.adds_rows:
            rig = correction.applied(self.rig).moved(level_T_base)
            seen = seen_cells(rig, config.grid, config.heights_m, present)
        unknown = ~seen
        unknown.setflags(write=False)
        self.tables_built += 1
        return LiftTable(level_T_base, level_T_base @ correction.true_T_told, taps, unknown)


def settled_attitude(level_T_base: RigidTransform, tolerance_deg: float) -> RigidTransform:
    """The nearest of a lattice of attitudes, none further than the tolerance from its own.

    So the table of an attitude depends on that attitude alone and not on those before it: a
    set gives the same map live, where sets before it may have been dropped, and from a bag.

    Args:
        level_T_base: roll and pitch of the vehicle, see geometry.frames.levelled.
        tolerance_deg: 0 leaves it as it is.
    """
    if tolerance_deg == 0.0:
        return level_T_base
    step = math.radians(tolerance_deg) * math.sqrt(2.0)
    roll, pitch, _ = level_T_base.euler.tolist()
    return _lattice_attitude(round(roll / step), round(pitch / step), step)


@lru_cache(maxsize=1024)
def _lattice_attitude(roll_steps: int, pitch_steps: int, step: float) -> RigidTransform:
    return RigidTransform.from_euler(roll_steps * step, pitch_steps * step)
