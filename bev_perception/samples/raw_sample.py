# SPDX-License-Identifier: Apache-2.0
"""One sample as stored: shapes checked, nothing interpreted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BagError
from bev_perception.samples.array_files import ARRAY_SUFFIXES, Arrays, read_arrays
from bev_perception.samples.drive_files import CALIBRATION
from bev_perception.samples.raw_boxes import RawBoxes, optional_array, raw_boxes, with_box_rows

_DIMENSIONS = {
    "imgs": 4, "rots": 3, "trans": 2, "intrins": 3, "velo_T_cams": 3, "cam0_T_camXs": 3,
    "lrtlist_velo": 2, "vislist": 1, "tidlist": 1, "scorelist": 1, "velocities": 2, "labels": 1,
    "egopose": 2, "pts": 2, "stamp_ns": 0, "stamp_us": 0, "stamp_s": 0,
}  # fmt: skip
"""Without batch and time."""


@dataclass(frozen=True, eq=False)
class RawSample:
    """One moment as stored; S cameras.

    Attributes:
        name: file, and its number in it, for messages.
        images: (S, H, W, 3) of any number type.
        extrinsics: (S, 4, 4) made of rots and trans.
        intrinsics: (S, 3, 3).
        boxes: None where there are none stored.
        pose: (4, 4) egopose, or None.
        points: (V, 3) LiDAR points in the ego frame, or None.
        stamp_ns: or None.
        cam0_T_cams: (S, 4, 4) where it is stored beside the extrinsics; only a cross-check.
    """

    name: str
    images: NDArray[Any]
    extrinsics: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    boxes: RawBoxes | None
    pose: NDArray[np.float64] | None
    points: NDArray[np.float64] | None
    stamp_ns: int | None
    cam0_T_cams: NDArray[np.float64] | None


def read_samples(
    paths: Sequence[Path], cameras: tuple[str, ...] | None = None
) -> Iterator[RawSample]:
    """The samples of a drive, one after the other.

    Args:
        paths: of find_drives.
        cameras: order of pictures in folders.

    Raises:
        BagError: something is missing, or has an impossible shape.
    """
    shared = _shared_arrays(paths[0].parent)
    for path in paths:
        arrays = {**shared, **read_arrays(path, cameras)}
        for name, moment in _moments(arrays, str(path)):
            try:
                yield _raw_sample(moment, name)
            except (ValueError, TypeError, ArithmeticError, LookupError) as error:
                raise BagError(f"{name}: a value of the wrong kind: {error}") from error


def _shared_arrays(folder: Path) -> Arrays:
    for suffix in ARRAY_SUFFIXES:
        path = folder / f"{CALIBRATION}{suffix}"
        if path.is_file():
            return read_arrays(path)
    return {}


def _moments(arrays: Arrays, where: str) -> Iterator[tuple[str, Arrays]]:
    """Splits what holds several moments along its leading dimensions."""
    arrays = with_box_rows(arrays, where)
    flat: Arrays = {}
    counts: dict[str, int] = {}
    for name, dimensions in _DIMENSIONS.items():
        if arrays.get(name) is None:
            continue
        values = _array(arrays[name], f"{where}: {name}", "US" if name == "labels" else "biuf")
        leading = values.shape[: values.ndim - dimensions]
        if values.ndim < dimensions or values.dtype == object:
            raise BagError(
                f"{where}: {name} has shape {values.shape}, expected {dimensions} dimensions "
                f"beside batch and time"
            )
        flat[name] = values.reshape(math.prod(leading), *values.shape[len(leading) :])
        counts[name] = len(flat[name])
    number = max(counts.values(), default=0)
    odd = {name: count for name, count in counts.items() if count not in (1, number)}
    if odd:
        raise BagError(f"{where} holds {number} moments, but of {odd}; expected as many of each")
    for index in range(number):
        moment = {name: values[min(index, len(values) - 1)] for name, values in flat.items()}
        yield (where if number == 1 else f"{where} moment {index}"), moment


def _array(values: Any, where: str, kinds: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise BagError(f"{where} is no array of numbers: {error}") from error
    if array.size and array.dtype.kind not in kinds:
        expected = "numbers" if "f" in kinds else "text"
        raise BagError(f"{where} holds {array.dtype}, expected {expected}")
    return array


def _raw_sample(arrays: Arrays, name: str) -> RawSample:
    images = _images(arrays, name)
    count = len(images)
    extrinsics = _extrinsics(arrays, name)
    intrinsics = _shaped(arrays, "intrins", name)[:, :3, :3]
    for what, values in (("extrinsics", extrinsics), ("intrins", intrinsics)):
        if len(values) != count:
            raise BagError(f"{name}: {count} images, but {what} of {len(values)} cameras")
    points = optional_array(arrays, "pts", name)
    if points is not None:
        points = points[:3].T if points.shape[0] < points.shape[1] else points[:, :3]
        points = points[np.abs(points).sum(axis=1) > 0]
    return RawSample(
        name,
        images,
        extrinsics,
        intrinsics,
        raw_boxes(arrays, name),
        optional_array(arrays, "egopose", name, (4, 4)),
        points,
        _stamp_ns(arrays),
        optional_array(arrays, "cam0_T_camXs", name, (count, 4, 4)),
    )


def _stamp_ns(arrays: Arrays) -> int | None:
    """The name tells the unit."""
    for key, factor in (("stamp_ns", 1), ("stamp_us", 1_000)):
        if arrays.get(key) is not None:
            return int(arrays[key]) * factor
    return None if arrays.get("stamp_s") is None else round(float(arrays["stamp_s"]) * 1e9)


def _images(arrays: Arrays, name: str) -> NDArray[Any]:
    images = np.asarray(_required(arrays, "imgs", name))
    if images.shape[1] in (3, 4) and images.shape[-1] not in (3, 4):
        images = np.moveaxis(images, 1, -1)
    if images.shape[-1] not in (3, 4):
        raise BagError(f"{name}: imgs has shape {images.shape}, expected (S, 3, H, W)")
    return images[..., :3]


def _extrinsics(arrays: Arrays, name: str) -> NDArray[np.float64]:
    whole = optional_array(arrays, "velo_T_cams", name)
    if whole is not None:
        return whole
    if arrays.get("rots") is None and arrays.get("cam0_T_camXs") is not None:
        raise BagError(
            f"{name} holds cam0_T_camXs, but neither rots and trans nor velo_T_cams: where camera "
            f"0 is on the vehicle, and so where the ground is, is not known; store them too"
        )
    rots, trans = _shaped(arrays, "rots", name), _shaped(arrays, "trans", name)
    if rots.shape[1:] != (3, 3) or trans.shape != (len(rots), 3):
        raise BagError(f"{name}: rots {rots.shape} and trans {trans.shape}; expected (S, 3, 3), "
                       f"(S, 3)")  # fmt: skip
    matrices = np.tile(np.eye(4), (len(rots), 1, 1))
    matrices[:, :3, :3], matrices[:, :3, 3] = rots, trans
    return matrices


def _required(arrays: Arrays, key: str, name: str) -> Any:
    if arrays.get(key) is None:
        raise BagError(f"{name} holds no {key}; it has {', '.join(sorted(arrays)) or 'nothing'}")
    return arrays[key]


def _shaped(arrays: Arrays, key: str, name: str) -> NDArray[np.float64]:
    values = np.asarray(_required(arrays, key, name), dtype=np.float64)
    if not np.isfinite(values).all():
        raise BagError(f"{name}: {key} holds values that are not finite")
    return values
