# SPDX-License-Identifier: Apache-2.0
"""The labels of a prepared bag, read with every array's size checked against what is there."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import OBJECT_CLASSES
from bev_perception.untrusted_arrays import read_array

_PER_SET: dict[str, tuple[str, tuple[int, ...]]] = {
    "stamps_ns": ("i", ()),
    "present": ("b", (-1,)),
    "level_rotations": ("f", (3, 3)),
    "world_poses": ("f", (4, 4)),
    "mountings": ("f", (-1, 4, 4)),
    "point_ends": ("i", ()),
}
"""Kind and shape of a row; -1 stands for the number of cameras."""
_PER_BOX: dict[str, tuple[str, tuple[int, ...]]] = {
    "box_sets": ("i", ()),
    "box_labels": ("i", ()),
    "box_ids": ("i", ()),
    "box_poses": ("f", (4, 4)),
    "box_sizes": ("f", (3,)),
    "box_velocities": ("f", (3,)),
    "box_visibilities": ("f", ()),
}
_OPTIONAL = ("world_poses", "mountings", "point_ends")


def read_labels(path: Path, num_sets: int, num_cameras: int) -> dict[str, NDArray[Any]]:
    """Arrays by name, of one row per set or box.

    Raises:
        OSError, ValueError: the file is damaged, or an array is missing or of another kind, shape
            or range.
    """
    arrays = _stored_arrays(path)
    missing = [name for name in (*_PER_SET, *_PER_BOX) if name not in {*arrays, *_OPTIONAL}]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    num_boxes = len(np.atleast_1d(arrays["box_sets"]))
    for expected, count in ((_PER_SET, num_sets), (_PER_BOX, num_boxes)):
        for name, (kind, row) in expected.items():
            shape = (count, *(num_cameras if side < 0 else side for side in row))
            found = arrays.get(name)
            if found is not None and (found.dtype.kind != kind or found.shape != shape):
                raise ValueError(f"{name} is {found.dtype} {found.shape}, expected {kind} {shape}")
    labels, ends = arrays["box_labels"], arrays.get("point_ends", np.zeros(1, dtype=np.int64))
    if not ((labels >= 0) & (labels < len(OBJECT_CLASSES))).all():
        raise ValueError(f"box_labels go beyond the {len(OBJECT_CLASSES)} classes")
    if not (np.diff(ends, prepend=0) >= 0).all():
        raise ValueError("point_ends go back")
    return {name: arrays[name] for name in (*_PER_SET, *_PER_BOX) if name in arrays}


def _stored_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Of an .npz file that is not compressed, as they are written."""
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"{member.filename!r} is compressed, which is never written")
                size = min(member.file_size, path.stat().st_size)
                with archive.open(member) as file:
                    arrays[member.filename.removesuffix(".npy")] = read_array(file, size)
                    if file.read(1):
                        raise ValueError(f"{member.filename!r} goes on behind its array")
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
        raise ValueError(f"labels.npz is damaged: {error}") from error
    return arrays
