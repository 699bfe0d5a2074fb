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
    values = np.where(output.probability >= threshold, OCCUPIED, FREE).astype(np.int8)
    values[output.unknown] = UNKNOWN
    return values


def probability_values(output: BevOutput) -> NDArray[np.int8]:
    """(num_y, num_x) int8: probability in percent, -1 unknown."""
    values = np.clip(np.rint(output.probability * 100.0), 0, 100).astype(np.int8)
    values[output.unknown] = UNKNOWN
    return values


def grid_to_message(
    stamp_ns: int,
    frame_id: str,
    grid: BevGrid,
    values: NDArray[np.int8],
    base_T_level: RigidTransform | None = None,
) -> Any:
    """OccupancyGrid of (num_y, num_x) int8 in the grid's own order.

    Args:
        stamp_ns: nanoseconds.
        frame_id: the vehicle frame.
        grid: in the levelled vehicle frame.
        values: in the grid's order.
        base_T_level: turns the origin, so that a vehicle that pitches does not tilt the map;
            None for a vehicle that stands level.

    Raises:
        BagError: the values' shape is not the grid's.
    """
    if values.shape != grid.shape:
        raise BagError(f"occupancy values {values.shape} do not fit the grid {grid.shape}")
    origin = RigidTransform(np.eye(3), np.array([grid.x_min, grid.y_min, 0.0]))
    if base_T_level is not None:
        origin = base_T_level @ origin
    info = message_class("nav_msgs/msg/MapMetaData")(
        make_time(stamp_ns), grid.resolution, grid.num_x, grid.num_y, pose_to_message(origin)
    )
    data = np.ascontiguousarray(values, dtype=np.int8).reshape(-1)
    return message_class(OCCUPANCY_GRID)(make_header(stamp_ns, frame_id), info, data)


def grid_from_message(message: Any, topic: str) -> tuple[BevGrid, NDArray[np.int8]]:
    """Grid in the levelled vehicle frame and its (num_y, num_x) int8 values.

    Raises:
        BagError: an origin that is turned about the vertical or lies above or below the vehicle
            frame, or a buffer that does not fit the size.
    """
    info = message.info
    origin = pose_from_message(info.origin)
    level_T_base = origin.inverse().rotation
    x_min, y_min, z = level_T_base @ origin.translation
    yaw = float(np.arctan2(level_T_base[1, 0], level_T_base[0, 0]))
    if abs(yaw) > 1e-6 or abs(z) > 1e-6:
        raise BagError(
            f"{topic}: the occupancy grid's origin is turned by {np.degrees(yaw):.3f} degrees "
            f"about the vertical and lies {z:.3f} m high; only shifts in the plane and levelling "
            f"are supported"
        )
    data = np.asarray(message.data, dtype=np.int8)
    if data.size != info.width * info.height:
        raise BagError(
            f"{topic}: occupancy grid of {info.width}x{info.height} cells holds {data.size} values"
        )
    resolution = round(float(info.resolution), 6)  # float32 in the message
    x_min, y_min = round(float(x_min), 9), round(float(y_min), 9)  # turned there and back
    grid = BevGrid(x_min, y_min, resolution, int(info.width), int(info.height))
    return grid, data.reshape(grid.shape)
