# SPDX-License-Identifier: Apache-2.0
"""nav_msgs/OccupancyGrid of perception's output, and back to arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.headers import make_header, make_time
from bev_perception.bags.poses import pose_from_message, pose_to_message
from bev_perception.bags.typestore import OCCUPANCY_GRID, message_class
from bev_perception.errors import BagError
from bev_perception.geometry import BevGrid, BevOutput, RigidTransform

FREE, OCCUPIED, UNKNOWN = 0, 100, -1


def occupancy_values(output: BevOutput, threshold: float) -> NDArray[np.int8]:
    """(num_y, num_x) int8: 100 where probability reaches the threshold, else 0, -1 unknown."""
    occupied = output.probability >= threshold
    return _with_unknown(occupied.view(np.int8) * np.int8(OCCUPIED), output.unknown)


def probability_values(output: BevOutput) -> NDArray[np.int8]:
    """(num_y, num_x) int8: probability in percent, -1 unknown."""
    percent = output.probability * 100.0
    np.clip(np.rint(percent, out=percent), 0, 100, out=percent)
    return _with_unknown(percent.astype(np.int8), output.unknown)


def grid_to_message(stamp_ns: int, frame_id: str, grid: BevGrid, values: NDArray[np.int8]) -> Any:
    """OccupancyGrid of (num_y, num_x) int8 in the grid's own order; the origin is not turned.

    The cells are those of the levelled vehicle frame. The message carries no tilt because its
    readers are flat: nav2 takes the origin's position and the vehicle's heading and ignores
    every other angle, which for a levelled grid is exact.

    Raises:
        BagError: the values' shape is not the grid's.
    """
    if values.shape != grid.shape:
        raise BagError(f"occupancy values {values.shape} do not fit the grid {grid.shape}")
    origin = RigidTransform(np.eye(3), np.array([grid.x_min, grid.y_min, 0.0]))
    info = message_class("nav_msgs/msg/MapMetaData")(
        make_time(stamp_ns), grid.resolution, grid.num_x, grid.num_y, pose_to_message(origin)
    )
    data = np.ascontiguousarray(values, dtype=np.int8).reshape(-1)
    return message_class(OCCUPANCY_GRID)(make_header(stamp_ns, frame_id), info, data)


def grid_from_message(message: Any, topic: str) -> tuple[BevGrid, NDArray[np.int8]]:
    """Grid and its (num_y, num_x) int8 values.

    Raises:
        BagError: a turned origin, or a buffer that does not fit the size.
    """
    info = message.info
    origin = pose_from_message(info.origin)
    if origin.angle_to(RigidTransform.identity()) > 1e-6:
        raise BagError(f"{topic}: the occupancy grid's origin is turned; only shifts are supported")
    data = np.asarray(message.data, dtype=np.int8)
    if data.size != info.width * info.height:
        raise BagError(
            f"{topic}: occupancy grid of {info.width}x{info.height} cells holds {data.size} values"
        )
    resolution = round(float(info.resolution), 6)  # float32 in the message
    x_min, y_min = origin.translation[:2]
    grid = BevGrid(float(x_min), float(y_min), resolution, int(info.width), int(info.height))
    return grid, data.reshape(grid.shape)


def _with_unknown(values: NDArray[np.int8], unknown: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Values 0 to 100, -1 where unknown: all bits set, without a branch for each cell."""
    return values | -unknown.view(np.int8)
