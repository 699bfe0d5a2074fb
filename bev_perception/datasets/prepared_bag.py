# SPDX-License-Identifier: Apache-2.0
"""Prepared bags on disk: images as the network takes them, boxes and poses as labelled.

One directory per bag:

- ``images.raw``: (N, S, H, W, 3) uint8 RGB, uncompressed, mapped into memory when read;
- ``labels.npz``: per set the stamp, cameras present, levelling and ego pose (NaN where it is not
  known), and all boxes; mountings of the cameras per set only where some set has its own;
- ``points.raw``: LiDAR points in base_link, (sum, 3) float32, where they are wanted; radar returns
  may have columns behind, see geometry.point_values;
- ``description.json``: shapes, the prepared rig, the bag's name.

Boxes are kept, not rasters, so that grid and target settings can change without extraction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.prepared_labels import read_labels
from bev_perception.errors import BevError, ConfigurationError
from bev_perception.geometry import OBJECT_CLASSES, ObjectBox, Rig, RigidTransform
from bev_perception.geometry.point_values import moved_points
from bev_perception.geometry.rig_record import rig_from_dict
from bev_perception.untrusted import parse_json

IMAGES_NAME = "images.raw"
FORMAT_VERSION = 5
"""Part of a prepared bag's key.

2: images that shrink little are interpolated. 3: velocities that labels do not tell are unknown;
rows and pixels that no camera saw repeat the edge. 4: images and clouds of another rig than the
bag's are left out. 5: labels in a frame that lay elsewhere, too; a CameraInfo that is impossible
for a moment ends no good one.
"""


@dataclass(frozen=True)
class Sample:
    """One labelled moment, levelled.

    Attributes:
        images: (S, H, W, 3) uint8 RGB in the rig's order, zeros where a camera is missing.
        present: (S,) bool.
        rig: the prepared rig in levelled base_link.
        objects: boxes in levelled base_link.
        stamp_ns: nanoseconds.
        world_T_level: pose of levelled base_link; None where the ego pose is not known.
        points: (N, 3) LiDAR points in levelled base_link; None where none were kept.
        cloud_lost: whether the network does not get the points, as when the LiDAR's driver fails.
        taken_by: where ``rig`` is told wrong, the calibration that ``points`` have in the images;
            else None.
    """

    images: NDArray[np.uint8]
    present: NDArray[np.bool_]
    rig: Rig
    objects: tuple[ObjectBox, ...]
    stamp_ns: int = 0
    world_T_level: RigidTransform | None = None
    points: NDArray[np.floating] | None = None
    cloud_lost: bool = False
    taken_by: Rig | None = None


class PreparedBag:
    """Reads one prepared bag.

    Args:
        path: its directory.

    Raises:
        ConfigurationError: the directory is not a complete prepared bag.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.description: dict[str, Any] = parse_json(
                (path / "description.json").read_text(encoding="utf-8")
            )
            self.shape: tuple[int, int, int, int, int] = _checked_shape(self.description["shape"])
            self.rig = rig_from_dict(self.description["rig"])
            self._labels = read_labels(path / "labels.npz", self.shape[0], self.shape[1])
            self._check_points()
            size = (path / "images.raw").stat().st_size
        except (OSError, KeyError, TypeError, ValueError, AttributeError, BevError) as error:
            raise ConfigurationError(
                f"{path} is not a complete prepared bag ({str(error)[:300]}); delete it and train "
                f"again"
            ) from error
        if len(self.rig) != self.shape[1]:
            raise ConfigurationError(
                f"{path}: a rig of {len(self.rig)} cameras, images of {self.shape[1]}; delete the "
                f"directory and train again"
            )
        if size != math.prod(self.shape):
            raise ConfigurationError(
                f"{path}/images.raw has {size} bytes, expected {math.prod(self.shape)}; "
                f"delete the directory and train again"
            )

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getstate__(self) -> dict[str, Any]:
        # A mapped array would be pickled whole into every worker process.
        return {name: value for name, value in vars(self).items() if name != "_images"}

    @cached_property
    def _images(self) -> NDArray[np.uint8]:
        return np.memmap(self.path / "images.raw", dtype=np.uint8, mode="r", shape=self.shape)

    def _check_points(self) -> None:
        if not self.has_points:
            return
        columns = self.description.get("point_columns", 3)
        if not isinstance(columns, int) or not 3 <= columns <= 64:
            raise ValueError(f"point_columns is {columns!r}")
        ends, path = self._labels["point_ends"], self.path / "points.raw"
        expected = 4 * columns * int(ends[-1]) if len(ends) else 0
        size = path.stat().st_size if path.exists() else 0
        if size != expected:
            raise ValueError(f"points.raw has {size} bytes, expected {expected}")

    @property
    def num_cameras(self) -> int:
        """Cameras in the rig."""
        return int(self.shape[1])

    def stamp_ns(self, index: int) -> int:
        """Stamp of one set, nanoseconds."""
        return int(self._labels["stamps_ns"][index])

    @property
    def knows_poses(self) -> bool:
        """Whether it was prepared with ego poses; those of earlier versions were not."""
        return "world_poses" in self._labels

    def sample(self, index: int, with_objects: bool = True) -> Sample:
        """One moment; its images are a read-only view of the file.

        Args:
            index: of the set.
            with_objects: False leaves the labels alone, there are none in the result.
        """
        level_T_base = RigidTransform(self._labels["level_rotations"][index], np.zeros(3))
        chosen = np.flatnonzero(self._labels["box_sets"] == index) if with_objects else ()
        return Sample(
            images=self._images[index],
            present=self._labels["present"][index],
            rig=self._rig_of(index).moved(level_T_base),
            objects=tuple(self._box(int(number)).transformed(level_T_base) for number in chosen),
            stamp_ns=self.stamp_ns(index),
            world_T_level=self._world_T_level(index, level_T_base),
            points=self._points_of(index, level_T_base),
        )

    @property
    def has_points(self) -> bool:
        """Whether LiDAR points were kept."""
        return "point_ends" in self._labels

    def _points_of(self, index: int, level_T_base: RigidTransform) -> NDArray[np.float32] | None:
        if not self.has_points:
            return None
        ends, columns = self._labels["point_ends"], int(self.description.get("point_columns", 3))
        first, last = int(ends[index - 1]) if index else 0, int(ends[index])
        if first == last:
            return np.zeros((0, columns), dtype=np.float32)
        shape, offset = (last - first, columns), 4 * first * columns
        path = self.path / "points.raw"
        points = np.memmap(path, dtype=np.float32, mode="r", offset=offset, shape=shape)
        return moved_points(level_T_base, points.astype(np.float64)).astype(np.float32)

    def _world_T_level(self, index: int, level_T_base: RigidTransform) -> RigidTransform | None:
        if not self.knows_poses or np.isnan(self._labels["world_poses"][index]).any():
            return None
        world_T_base = RigidTransform.from_matrix(self._labels["world_poses"][index])
        return world_T_base @ level_T_base.inverse()

    def _rig_of(self, index: int) -> Rig:
        mountings = self._labels.get("mountings")
        return self.rig if mountings is None else _mounted(self.rig, mountings[index])

    def _box(self, number: int) -> ObjectBox:
        labels = self._labels
        return ObjectBox(
            label=OBJECT_CLASSES[labels["box_labels"][number]],
            object_id=int(labels["box_ids"][number]),
            pose=RigidTransform.from_matrix(labels["box_poses"][number]),
            size=labels["box_sizes"][number],
            velocity=labels["box_velocities"][number],
            visibility=float(labels["box_visibilities"][number]),
        )


def _checked_shape(values: Any) -> tuple[int, int, int, int, int]:
    if not isinstance(values, list) or len(values) != 5:
        raise ValueError(f"shape is {values!r:.100}, expected five numbers")
    if not all(isinstance(side, int) and 0 <= side < 1 << 40 for side in values):
        raise ValueError(f"shape is {values!r:.100}, expected five numbers")
    sets, cameras, height, width, channels = values
    return sets, cameras, height, width, channels


def _mounted(rig: Rig, mountings: NDArray[np.float64]) -> Rig:
    return Rig(
        {
            name: replace(entry, base_T_camera=RigidTransform.from_matrix(matrix))
            for (name, entry), matrix in zip(rig.cameras.items(), mountings)
        }
    )
