# SPDX-License-Identifier: Apache-2.0
"""Oriented boxes of objects and their footprints."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.errors import BevError
from bev_perception.geometry.transform import RigidTransform

OBJECT_CLASSES = (
    "car",
    "van",
    "truck",
    "bus",
    "trailer",
    "construction_vehicle",
    "motorcycle",
    "bicycle",
    "pedestrian",
    "barrier",
    "traffic_cone",
    "unknown",
)
"""Classes that labels are mapped to; nuScenes' and CARLA's names are mapped in bags."""

VEHICLE_CLASSES = frozenset(OBJECT_CLASSES[:8])
"""What "vehicle" means in vehicle IoU: nuScenes' vehicle.* super-category."""

_CORNER_SIGNS = np.array(
    [
        [x, y, z]
        for z in (-0.5, 0.5)
        for x, y in ((0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5))
    ]
)


@dataclass(frozen=True, eq=False)
class ObjectBox:
    """One object: an oriented cuboid that moves. Equal when every value is, NaN included.

    Attributes:
        label: one of OBJECT_CLASSES.
        object_id: stable over time within one drive.
        pose: frame_T_box; the box's own x axis is its heading, z up, origin at its centre.
        size: (3,) length along x, width along y, height along z, metres.
        velocity: (3,) metres per second over ground, in the same frame as the pose; NaN if
            unknown.
        visibility: share of the object's pixels that cameras see, 0 to 1; NaN if unknown.
        score: 1 for ground truth, the confidence for predictions.
    """

    label: str
    object_id: int
    pose: RigidTransform
    size: NDArray[np.float64]
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.nan))
    visibility: float = float("nan")
    score: float = 1.0

    def __post_init__(self) -> None:
        size = np.array(self.size, dtype=np.float64)
        velocity = np.array(self.velocity, dtype=np.float64)
        if size.shape != (3,) or not all(0.0 < side < math.inf for side in size.tolist()):
            raise BevError(
                f"object {self.object_id} ({self.label}): size must be three positive "
                f"metres (length, width, height), got {size.tolist()}"
            )
        if velocity.shape != (3,):
            raise BevError(
                f"object {self.object_id} ({self.label}): velocity must be three metres per "
                f"second, got {velocity.tolist()}"
            )
        if self.label not in OBJECT_CLASSES:
            raise BevError(
                f"object {self.object_id}: unknown class {self.label!r}, "
                f"expected one of {', '.join(OBJECT_CLASSES)}"
            )
        size.setflags(write=False)
        velocity.setflags(write=False)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "velocity", velocity)

    @property
    def center(self) -> NDArray[np.float64]:
        """(3,) metres in the pose's frame."""
        return self.pose.translation

    @property
    def corners(self) -> NDArray[np.float64]:
        """(8, 3) metres: bottom then top, each front left, rear left, rear right, front right."""
        return self.pose.apply(_CORNER_SIGNS * self.size)

    @property
    def footprint(self) -> NDArray[np.float64]:
        """(4, 2) metres: the box's bottom face seen from above, counter-clockwise."""
        return self.corners[:4, :2]

    @property
    def is_vehicle(self) -> bool:
        """Whether vehicle IoU counts this object."""
        return self.label in VEHICLE_CLASSES

    def transformed(self, target_T_frame: RigidTransform) -> ObjectBox:
        """The same object expressed in another frame, velocity rotated with it."""
        return ObjectBox(
            self.label,
            self.object_id,
            target_T_frame @ self.pose,
            self.size,
            target_T_frame.rotate(self.velocity),
            self.visibility,
            self.score,
        )

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether points (..., 3) of the pose's frame lie inside or on the box."""
        local = self.pose.inverse().apply(points)
        return np.asarray((np.abs(local) <= self.size / 2.0 + 1e-9).all(axis=-1))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectBox):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        numbers = (*self.size.tolist(), *self.velocity.tolist(), self.visibility, self.score)
        comparable = tuple(None if np.isnan(value) else float(value) for value in numbers)
        return self.label, self.object_id, self.pose, comparable
