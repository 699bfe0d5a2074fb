# SPDX-License-Identifier: Apache-2.0
"""Writes prepared bags; see prepared_bag for what is in one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.prepared_bag import IMAGES_NAME
from bev_perception.datasets.unfinished_folder import hold, unfinished
from bev_perception.geometry import OBJECT_CLASSES, ObjectBox, Rig, RigidTransform
from bev_perception.geometry.rig_record import rig_to_dict


class PreparedBagWriter:
    """Writes one prepared bag beside its final place and moves it there when complete.

    Args:
        path: final directory.
        rig: the prepared rig in base_link.
        image_size: (height, width).
        description: further plain values to keep.
    """

    def __init__(
        self, path: Path, rig: Rig, image_size: tuple[int, int], description: dict[str, Any]
    ) -> None:
        self._path = path
        self._partial = unfinished(path)
        self._rig = rig
        self._image_shape = (len(rig), *image_size, 3)
        self._description = description
        self._rows: dict[str, list[Any]] = {
            name: [] for name in ("stamps_ns", "present", "level_rotations", "world_poses")
        }
        self._boxes: list[tuple[int, ObjectBox]] = []
        self._own_mountings: dict[int, NDArray[np.float64]] = {}
        self._point_counts: list[int] = []
        self._point_columns = 3

    def __enter__(self) -> PreparedBagWriter:
        self._partial.mkdir(parents=True)
        self._file = (self._partial / IMAGES_NAME).open("wb")
        hold(self._file)
        self._hold = os.dup(self._file.fileno())  # until all is in place
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.close()  # on a full disk it fails again
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)
            os.close(self._hold)

    def add(
        self,
        stamp_ns: int,
        images: NDArray[np.uint8],
        present: NDArray[np.bool_],
        level_T_base: RigidTransform,
        objects: Sequence[ObjectBox],
        own_rig: Rig | None = None,
        world_T_base: RigidTransform | None = None,
        points: NDArray[np.float64] | None = None,
    ) -> None:
        """One set: images (S, H, W, 3), present (S,), boxes in base_link (not levelled).

        The cameras of own_rig are mounted otherwise than the bag's at this moment; world_T_base is
        the ego pose where it is known. Points (N, 3 or more) in base_link, too, are given for all
        sets, with as many columns, or for none.
        """
        if images.shape != self._image_shape:
            raise ValueError(f"images are {images.shape}, expected {self._image_shape}")
        if own_rig is not None:
            self._own_mountings[len(self._rows["stamps_ns"])] = _mountings(own_rig)
        self._file.write(np.ascontiguousarray(images).data)
        self._boxes += [(len(self._rows["stamps_ns"]), box) for box in objects]
        self._rows["stamps_ns"].append(stamp_ns)
        self._rows["present"].append(present)
        self._rows["level_rotations"].append(level_T_base.rotation)
        if points is not None:
            with (self._partial / "points.raw").open("ab") as file:
                file.write(np.ascontiguousarray(points, dtype=np.float32).data)
            self._point_counts.append(len(points))
            self._point_columns = points.shape[1]
        unknown = np.full((4, 4), np.nan)
        self._rows["world_poses"].append(unknown if world_T_base is None else world_T_base.matrix)

    def _finish(self) -> None:
        count = len(self._rows["stamps_ns"])
        boxes = [box for _, box in self._boxes]
        usual, own = _mountings(self._rig), self._own_mountings
        arrays: dict[str, Any] = dict(
            stamps_ns=np.array(self._rows["stamps_ns"], dtype=np.int64),
            present=np.array(self._rows["present"], dtype=bool).reshape(count, -1),
            level_rotations=np.array(self._rows["level_rotations"]).reshape(count, 3, 3),
            world_poses=np.array(self._rows["world_poses"]).reshape(count, 4, 4),
            box_sets=np.array([index for index, _ in self._boxes], dtype=np.int64),
            box_labels=np.array([OBJECT_CLASSES.index(box.label) for box in boxes], np.int64),
            box_ids=np.array([box.object_id for box in boxes], dtype=np.int64),
            box_poses=np.array([box.pose.matrix for box in boxes]).reshape(-1, 4, 4),
            box_sizes=np.array([box.size for box in boxes]).reshape(-1, 3),
            box_velocities=np.array([box.velocity for box in boxes]).reshape(-1, 3),
            box_visibilities=np.array([box.visibility for box in boxes], dtype=np.float64),
        )
        if own:
            arrays["mountings"] = np.array([own.get(index, usual) for index in range(count)])
        if self._point_counts:
            arrays["point_ends"] = np.cumsum(self._point_counts)
        np.savez(self._partial / "labels.npz", **arrays)
        description = {
            **self._description,
            "shape": [count, *self._image_shape],
            "rig": rig_to_dict(self._rig),
        }
        if self._point_columns != 3:
            description["point_columns"] = self._point_columns
        text = json.dumps(description, indent=1)
        (self._partial / "description.json").write_text(text, encoding="utf-8")
        try:
            self._partial.rename(self._path)
        except OSError:
            # Another process may have prepared the same bag meanwhile; its copy is as good.
            if not self._path.is_dir():
                raise


def _mountings(rig: Rig) -> NDArray[np.float64]:
    """(S, 4, 4) base_T_camera."""
    return np.array([entry.base_T_camera.matrix for entry in rig.cameras.values()])
