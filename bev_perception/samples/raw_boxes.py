# SPDX-License-Identifier: Apache-2.0
"""Boxes of one sample as stored: rows of numbers, or mappings as in JSON."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BagError
from bev_perception.samples.array_files import Arrays

_COLUMNS = (7, 9, 19)


@dataclass(frozen=True, eq=False)
class RawBoxes:
    """Boxes of one sample as stored; N of them.

    Attributes:
        rows: (N, 19) sizes and the box's 4x4 pose row by row, or (N, 7) position, sizes, yaw,
            or (N, 9) position, sizes, roll, pitch, yaw.
        labels: (N,) texts, or None.
        ids: (N,) int64, or None.
        visibility: (N,) 0 to 1, NaN where unknown.
        velocities: (N, 3) in the boxes' frame, NaN where unknown.
    """

    rows: NDArray[np.float64]
    labels: tuple[str, ...] | None
    ids: NDArray[np.int64] | None
    visibility: NDArray[np.float64]
    velocities: NDArray[np.float64]

    @property
    def sizes(self) -> NDArray[np.float64]:
        """(N, 3) as stored."""
        return self.rows[:, :3] if self.rows.shape[1] == 19 else self.rows[:, 3:6]

    @property
    def angles(self) -> NDArray[np.float64] | None:
        """(N, 3) roll, pitch, yaw as stored; None where boxes have matrices."""
        if self.rows.shape[1] == 19:
            return None
        if self.rows.shape[1] == 9:
            return self.rows[:, 6:]
        return np.pad(self.rows[:, 6:], ((0, 0), (2, 0)))


def raw_boxes(arrays: Arrays, name: str) -> RawBoxes | None:
    """The boxes without the zeros that loaders fill up with; None where none are stored.

    Raises:
        BagError: an impossible shape; ``name`` says where.
    """
    rows = optional_array(arrays, "lrtlist_velo", name)
    if rows is None:
        return None
    if rows.shape[1] not in _COLUMNS:
        raise BagError(
            f"{name}: boxes of {rows.shape[1]} numbers; expected 19 (sizes, 4x4 pose), 9 "
            f"(position, sizes, roll, pitch, yaw) or 7 (position, sizes, yaw)"
        )
    count = len(rows)
    sizes = rows[:, :3] if rows.shape[1] == 19 else rows[:, 3:6]
    real = (sizes > 0).all(axis=1)  # loaders fill up with zeros
    scores = optional_array(arrays, "scorelist", name)
    if scores is not None:
        real &= scores[:count] > 0
    ids, labels = arrays.get("tidlist"), arrays.get("labels")
    visibility = optional_array(arrays, "vislist", name)
    velocities = optional_array(arrays, "velocities", name)
    for what, values in (("tidlist", ids), ("vislist", visibility), ("velocities", velocities),
                         ("labels", labels)):  # fmt: skip
        if values is not None and len(values) != count:
            raise BagError(f"{name}: {count} boxes, but {what} of {len(values)}")
    if velocities is None:
        velocities = np.full((count, 3), np.nan)
    if velocities.shape[1] == 2:
        velocities = np.pad(velocities, ((0, 0), (0, 1)))
    return RawBoxes(
        rows[real],
        None if labels is None else tuple(np.asarray(labels)[real].astype(str).tolist()),
        None if ids is None else np.asarray(ids)[real].astype(np.int64),
        np.full(int(real.sum()), np.nan) if visibility is None else visibility[real],
        velocities[real],
    )


def with_box_rows(arrays: Arrays, where: str) -> Arrays:
    """Boxes that are a list of mappings, as in JSON, become rows."""
    boxes = arrays.get("lrtlist_velo")
    if not isinstance(boxes, (list, tuple)) or not all(isinstance(box, dict) for box in boxes):
        return arrays
    try:
        rows = [
            [*box["center"], *box["size"], *(box["rpy"] if "rpy" in box else (0, 0, box["yaw"]))]
            for box in boxes
        ]
        result: Arrays = dict(arrays)
        result["lrtlist_velo"] = np.array(rows, dtype=np.float64).reshape(-1, 9)
        result["labels"] = np.array([str(box.get("label", "")) for box in boxes], dtype=str)
        result["vislist"] = np.array([float(box.get("visibility", np.nan)) for box in boxes])
        result["velocities"] = np.array(
            [box.get("velocity", (np.nan,) * 3) for box in boxes], dtype=np.float64
        ).reshape(-1, 3)
        if all("id" in box for box in boxes):
            result["tidlist"] = np.array([int(box["id"]) for box in boxes], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise BagError(
            f"{where}: each box needs center, size (three numbers each) and yaw or rpy; "
            f"{type(error).__name__}: {error}"
        ) from error
    return result


def optional_array(
    arrays: Arrays, key: str, name: str, shape: tuple[int, ...] | None = None
) -> NDArray[np.float64] | None:
    if arrays.get(key) is None:
        return None
    values = np.asarray(arrays[key], dtype=np.float64)
    if shape is not None and values.shape != shape:
        raise BagError(f"{name}: {key} has shape {values.shape}, expected {shape}")
    return values
