# SPDX-License-Identifier: Apache-2.0
"""Many boxes as arrays: the same values as ObjectBox, for work over all labels of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bev_perception.geometry.boxes import VEHICLE_CLASSES, ObjectBox
from bev_perception.geometry.transform import RigidTransform


@dataclass(frozen=True, eq=False)
class BoxArrays:
    """Boxes in one frame; see ObjectBox for the values. Trusted, not checked.

    Attributes:
        labels: (N,) classes.
        object_ids: (N,) int64.
        rotations: (N, 3, 3) of frame_T_box.
        centers: (N, 3) metres.
        sizes: (N, 3) metres.
        velocities: (N, 3) metres per second, NaN if unknown.
        visibilities: (N,) shares, NaN if unknown.
        scores: (N,).
    """

    labels: tuple[str, ...]
    object_ids: NDArray[np.int64]
    rotations: NDArray[np.float64]
    centers: NDArray[np.float64]
    sizes: NDArray[np.float64]
    velocities: NDArray[np.float64]
    visibilities: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def from_boxes(cls, boxes: Sequence[ObjectBox]) -> BoxArrays:
        """The arrays of boxes in one frame."""
        return cls(
            tuple(box.label for box in boxes),
            np.array([box.object_id for box in boxes], dtype=np.int64),
            np.array([box.pose.rotation for box in boxes]).reshape(-1, 3, 3),
            np.array([box.pose.translation for box in boxes]).reshape(-1, 3),
            np.array([box.size for box in boxes]).reshape(-1, 3),
            np.array([box.velocity for box in boxes]).reshape(-1, 3),
            np.array([box.visibility for box in boxes], dtype=np.float64),
            np.array([box.score for box in boxes], dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def is_vehicle(self) -> NDArray[np.bool_]:
        """(N,) whether vehicle IoU counts them."""
        return np.array([label in VEHICLE_CLASSES for label in self.labels], dtype=bool)

    @property
    def distances(self) -> NDArray[np.float64]:
        """(N,) metres from the frame's origin along its xy plane."""
        return np.hypot(self.centers[:, 0], self.centers[:, 1])

    @property
    def quaternions(self) -> NDArray[np.float64]:
        """(N, 4) unit quaternions in ROS order x, y, z, w, with w >= 0."""
        if not len(self):
            return np.zeros((0, 4))
        return np.asarray(Rotation.from_matrix(self.rotations).as_quat(canonical=True))

    def points(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, K, 3) metres of points (K, 3) given in units of each box's size from its centre."""
        local = self.sizes[:, None] * units
        return np.asarray(local @ self.rotations.transpose(0, 2, 1) + self.centers[:, None])

    def contains(self, point: Sequence[float]) -> NDArray[np.bool_]:
        """(N,) whether a point of the frame lies inside or on them."""
        local = np.einsum("nji,nj->ni", self.rotations, np.asarray(point) - self.centers)
        return np.asarray((np.abs(local) <= self.sizes / 2.0 + 1e-9).all(axis=1))

    def transformed(self, target_T_frame: RigidTransform) -> BoxArrays:
        """The same boxes in another frame."""
        return replace(
            self,
            rotations=target_T_frame.rotation @ self.rotations,
            centers=target_T_frame.apply(self.centers),
            velocities=target_T_frame.rotate(self.velocities),
        )

    def moved(self, delay_s: float) -> BoxArrays:
        """Where their velocities take them; those of unknown velocity stay."""
        return replace(self, centers=self.centers + np.nan_to_num(self.velocities) * delay_s)

    def selected(self, chosen: NDArray[np.bool_]) -> BoxArrays:
        """Those for which chosen (N,) is true."""
        if chosen.all():
            return self
        labels = tuple(label for label, keep in zip(self.labels, chosen.tolist()) if keep)
        return BoxArrays(
            labels,
            self.object_ids[chosen],
            self.rotations[chosen],
            self.centers[chosen],
            self.sizes[chosen],
            self.velocities[chosen],
            self.visibilities[chosen],
            self.scores[chosen],
        )

    def boxes(self) -> tuple[ObjectBox, ...]:
        """One ObjectBox each, checked.

        Raises:
            BevError: a value makes no box.
        """
        return tuple(
            ObjectBox(
                label,
                int(self.object_ids[index]),
                RigidTransform(self.rotations[index], self.centers[index]),
                self.sizes[index],
                self.velocities[index],
                float(self.visibilities[index]),
                float(self.scores[index]),
            )
            for index, label in enumerate(self.labels)
        )
