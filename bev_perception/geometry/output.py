# SPDX-License-Identifier: Apache-2.0
"""What perception says about one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.boxes import ObjectBox
from bev_perception.geometry.class_map import ClassMap
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.transform import RigidTransform

LEVEL = RigidTransform.identity()


@dataclass(frozen=True)
class CameraHealth:
    """State of one camera in one set: ``ok`` or a cause in words for people."""

    ok: bool
    cause: str = ""


@dataclass(frozen=True, eq=False)
class BevOutput:
    """Occupancy and objects around the vehicle, in levelled base_link.

    Attributes:
        stamp_ns: stamp of the images, nanoseconds.
        grid: extent and resolution of all arrays.
        probability: (num_y, num_x) float32 in 0..1, vehicle occupancy.
        unknown: (num_y, num_x) bool; cells that no working camera sees.
        center: (num_y, num_x) float32 in 0..1, centre map.
        offset: (2, num_y, num_x) float32 metres, x then y, from the cell to its object's centre.
        objects: found from centres and offsets; poses in levelled base_link.
        health: per camera of the rig.
        timings_ms: per stage, milliseconds.
        level_T_base: takes base_link points to the levelled base_link of everything above; the
            identity where no ego pose was known.
        level_T_told: the same for points as sensors tell them, where a residual pose was measured
            and taken out; None where it is level_T_base.
        class_map: on the same grid, of a network that tells classes apart; else None.
    """

    stamp_ns: int
    grid: BevGrid
    probability: NDArray[np.float32]
    unknown: NDArray[np.bool_]
    center: NDArray[np.float32]
    offset: NDArray[np.float32]
    objects: tuple[ObjectBox, ...] = ()
    health: Mapping[str, CameraHealth] = field(default_factory=dict)
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    level_T_base: RigidTransform = field(default_factory=RigidTransform.identity)
    level_T_told: RigidTransform | None = None
    class_map: ClassMap | None = None

    @cached_property
    def base_objects(self) -> tuple[ObjectBox, ...]:
        """The objects in base_link as it is tilted: what is published and recorded."""
        if self.level_T_base == LEVEL:
            return self.objects
        base_T_level = self.level_T_base.inverse()
        return tuple(box.transformed(base_T_level) for box in self.objects)
