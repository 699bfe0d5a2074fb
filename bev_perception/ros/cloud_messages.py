# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 in and out: sensor_msgs_py where it is installed, the same by hand elsewhere."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

from bev_perception.bags.point_clouds import described_fields, points_from_message
from bev_perception.errors import BagError
from bev_perception.geometry import SCAN_FIELDS, LidarScan
from bev_perception.perception.point_labels import LABELLED_POINT_FIELDS
from bev_perception.ros.stamps import header_message

try:
    from sensor_msgs_py.point_cloud2 import read_points
except ImportError:
    read_points = None


def cloud_points(
    message: PointCloud2, topic: str, values: Sequence[str] = ()
) -> NDArray[np.float64]:
    """(N, 3 + values) of the message's frame, see bags.point_clouds.points_from_message.

    sensor_msgs_py takes rows for gapless, and swaps the bytes of the message itself where they
    are big-endian, so that a second reader gets nonsense; such clouds it does not get.

    Raises:
        BagError: no x, y, z fields, or a buffer too short for its size.
    """
    gapless = message.height <= 1 or message.row_step == message.width * message.point_step
    if read_points is None or message.is_bigendian or not gapless or values:
        return points_from_message(message, topic, values)
    try:
        table: Any = read_points(message, field_names=("x", "y", "z"))
        points = np.stack([np.asarray(table[name], dtype=np.float64) for name in "xyz"], axis=-1)
    except (AssertionError, TypeError, ValueError, KeyError) as error:
        points_from_message(message, topic)  # says more of what is wrong
        raise BagError(f"{topic}: point cloud cannot be read: {error}") from error
    points = points.reshape(-1, 3)
    return points[np.isfinite(points).all(axis=1)]


def labelled_message(stamp_ns: int, frame_id: str, table: NDArray[np.void]) -> PointCloud2:
    """PointCloud2 of rows of LABELLED_POINT_FIELDS."""
    return _packed(stamp_ns, frame_id, table, _LABELLED)


def scan_message(stamp_ns: int, scan: LidarScan) -> PointCloud2:
    """PointCloud2 of a turn in the LiDAR's own frame, with the SCAN_FIELDS."""
    return _packed(stamp_ns, scan.frame_id, scan.returns, _SCANNED)


def _point_fields(fields: Sequence[tuple[str, str]]) -> list[PointField]:
    return [
        PointField(name=name, offset=offset, datatype=datatype, count=count)
        for name, offset, datatype, count in described_fields(fields)
    ]


_LABELLED, _SCANNED = _point_fields(LABELLED_POINT_FIELDS), _point_fields(SCAN_FIELDS)


def _packed(
    stamp_ns: int, frame_id: str, table: NDArray[np.void], fields: list[PointField]
) -> PointCloud2:
    message = PointCloud2(
        header=header_message(stamp_ns, frame_id),
        height=1,
        width=len(table),
        fields=fields,
        point_step=table.itemsize,
        row_step=table.nbytes,
        is_dense=True,
    )
    message.data = array("B", table.tobytes())
    return message
