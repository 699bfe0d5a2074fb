# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/PointCloud2: LiDAR points, and object centres as points with fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.headers import make_header
from bev_perception.bags.typestore import POINT_CLOUD, message_class
from bev_perception.errors import BagError
from bev_perception.geometry import SCAN_FIELDS, LidarScan, ObjectBox

_DATATYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_CODES = {code: number for number, code in _DATATYPES.items()}

TIME = "time"
"""The field of a return's age, which many drivers leave out."""

CENTER_FIELDS = (
    ("x", "f4"),
    ("y", "f4"),
    ("z", "f4"),
    ("score", "f4"),
    ("id", "i4"),
    ("vx", "f4"),
    ("vy", "f4"),
)
"""Fields of the object centres, in order."""


def points_from_message(
    message: Any, topic: str, values: Sequence[str] = ()
) -> NDArray[np.float64]:
    """(N, 3 + values) of the message's frame; points whose place is not finite are left out.

    Args:
        message: sensor_msgs/PointCloud2.
        topic: for errors.
        values: fields behind x, y, z; those that are not finite are 0, and so is a time that
            the message does not have.

    Raises:
        BagError: no x, y, z or values fields, one of several numbers, or a buffer too short for
            its size.
    """
    table = fields_from_message(message, topic)
    names = table.dtype.names or ()
    missing = [name for name in (*"xyz", *values) if name not in names and name != TIME]
    if missing:
        raise BagError(
            f"{topic}: point cloud without field {', '.join(missing)}; "
            f"its fields are {', '.join(names) or 'none'}"
            + ("; model.sensor radar takes x, y and z alone" if values else "")
        )
    columns = [table[name] if name in names else np.zeros(len(table)) for name in (*"xyz", *values)]
    several = [name for name, column in zip((*"xyz", *values), columns) if column.ndim > 1]
    if several:
        raise BagError(f"{topic}: point cloud with several numbers per point in {several[0]!r}")
    points = np.stack([column.astype(np.float64) for column in columns], axis=-1)
    points = points[np.isfinite(points[:, :3]).all(axis=1)]
    return np.where(np.isfinite(points), points, 0.0) if values else points


def fields_from_message(message: Any, topic: str) -> NDArray[np.void]:
    """(N,) structured array of all fields, a view of the message's buffer where possible.

    Raises:
        BagError: an unknown field type, or a buffer too short for its size.
    """
    order = ">" if message.is_bigendian else "<"
    names, formats, offsets = [], [], []
    for field in message.fields:
        if field.datatype not in _DATATYPES:
            raise BagError(f"{topic}: field {field.name!r} has unknown type {field.datatype}")
        code = order + _DATATYPES[field.datatype]
        names.append(field.name)
        formats.append(code if field.count in (0, 1) else (code, (int(field.count),)))
        offsets.append(int(field.offset))
    height, width = int(message.height), int(message.width)
    point_step = int(message.point_step)
    row_step = max(int(message.row_step), width * point_step)  # some drivers leave it 0
    needed = (height - 1) * row_step + width * point_step if height and width else 0
    data = np.frombuffer(message.data, dtype=np.uint8)
    if data.size < needed:
        raise BagError(
            f"{topic}: point cloud of {width}x{height} points needs {needed} bytes, "
            f"got {data.size}; the message is damaged"
        )
    try:
        dtype = np.dtype(
            {"names": names, "formats": formats, "offsets": offsets, "itemsize": point_step}
        )
    except ValueError as error:
        raise BagError(f"{topic}: point cloud fields do not fit together: {error}") from error
    if not needed or not names:
        return np.zeros(0, dtype=dtype)
    rows = np.ndarray((height, width), dtype, data.data, strides=(row_step, point_step))
    return rows.reshape(-1)


def points_to_message(
    stamp_ns: int, frame_id: str, points: NDArray[np.floating], values: Sequence[str] = ()
) -> Any:
    """PointCloud2 with float32 x, y, z of (N, 3) metres, and fields named by values behind.

    Raises:
        BagError: another shape.
    """
    array, names = np.asarray(points), (*"xyz", *values)
    if array.ndim != 2 or array.shape[1] != len(names):
        raise BagError(f"points must be (N, {len(names)}), got shape {array.shape}")
    table = np.ascontiguousarray(array, dtype=np.float32)
    return _cloud(stamp_ns, frame_id, [(name, "f4") for name in names], table, len(table))


def scan_to_message(stamp_ns: int, scan: LidarScan) -> Any:
    """PointCloud2 of a turn in the LiDAR's own frame, with the SCAN_FIELDS."""
    return _cloud(stamp_ns, scan.frame_id, SCAN_FIELDS, scan.returns, len(scan.returns))


def centers_to_message(stamp_ns: int, frame_id: str, objects: Sequence[ObjectBox]) -> Any:
    """PointCloud2 of object centres with the CENTER_FIELDS."""
    table = center_table(objects)
    return _cloud(stamp_ns, frame_id, CENTER_FIELDS, table, len(table))


def table_to_message(stamp_ns: int, frame_id: str, table: NDArray[np.void]) -> Any:
    """PointCloud2 of (N,) packed rows of little-endian fields, which keep their names."""
    fields = [(name, table.dtype[name].str[1:]) for name in table.dtype.names or ()]
    return _cloud(stamp_ns, frame_id, fields, table, len(table))


def center_table(objects: Sequence[ObjectBox]) -> NDArray[np.void]:
    """(N,) structured array of object centres with the CENTER_FIELDS."""
    rows = [
        (*box.center.tolist(), box.score, box.object_id, *box.velocity[:2].tolist())
        for box in objects
    ]
    return np.array(rows, dtype=np.dtype(list(CENTER_FIELDS)))


def described_fields(fields: Sequence[tuple[str, str]]) -> list[tuple[str, int, int, int]]:
    """(name, offset, datatype, count) of each PointField of packed (name, type code) fields."""
    offsets = np.cumsum([0, *(np.dtype(code).itemsize for _, code in fields)]).tolist()
    return [(name, offset, _CODES[code], 1) for (name, code), offset in zip(fields, offsets)]


def _cloud(
    stamp_ns: int,
    frame_id: str,
    fields: Sequence[tuple[str, str]],
    table: NDArray[Any],
    count: int,
) -> Any:
    """A PointCloud2 of packed little-endian rows."""
    field_class = message_class("sensor_msgs/msg/PointField")
    point_step = sum(np.dtype(code).itemsize for _, code in fields)
    data = np.frombuffer(table.tobytes(), dtype=np.uint8)
    return message_class(POINT_CLOUD)(
        header=make_header(stamp_ns, frame_id),
        height=1,
        width=count,
        fields=[field_class(*described) for described in described_fields(fields)],
        is_bigendian=False,
        point_step=point_step,
        row_step=point_step * count,
        data=data,
        is_dense=True,
    )
