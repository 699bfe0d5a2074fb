# SPDX-License-Identifier: Apache-2.0
"""Grids and centres that perception publishes, as messages.

Every value comes from the function that bags are written with, so a recording of the live
topics and a bag of ``bev run`` hold the same.
"""

from __future__ import annotations

from array import array

import numpy as np
from geometry_msgs.msg import Point
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from bev_perception.bags.occupancy_grids import occupancy_values, probability_values
from bev_perception.bags.point_clouds import CENTER_FIELDS, center_table, described_fields
from bev_perception.geometry import BevGrid, BevOutput
from bev_perception.ros.stamps import header_message, time_message

try:
    from sensor_msgs_py.point_cloud2 import create_cloud
except ImportError:
    create_cloud = None

_CENTER_FIELDS = [
    PointField(name=name, offset=offset, datatype=datatype, count=count)
    for name, offset, datatype, count in described_fields(CENTER_FIELDS)
]


def occupancy_grid_message(output: BevOutput, frame_id: str, threshold: float) -> OccupancyGrid:
    """0 free, 100 where probability reaches the threshold, -1 unknown."""
    return _grid(output.stamp_ns, frame_id, output.grid, occupancy_values(output, threshold))


def probability_grid_message(output: BevOutput, frame_id: str) -> OccupancyGrid:
    """Probability in percent, -1 unknown."""
    return _grid(output.stamp_ns, frame_id, output.grid, probability_values(output))


def centers_message(output: BevOutput, frame_id: str) -> PointCloud2:
    """One point per object: x, y, z, score, id, vx, vy in base_link, tilt undone."""
    header = header_message(output.stamp_ns, frame_id)
    table = center_table(output.base_objects)
    if create_cloud is None or not len(table):  # create_cloud takes no empty table
        message = _cloud(header, _CENTER_FIELDS, table)
    else:
        message = create_cloud(header, _CENTER_FIELDS, table)
    message.is_dense = True
    return message


def _cloud(header: Header, fields: list[PointField], table: NDArray[np.void]) -> PointCloud2:
    """What sensor_msgs_py's create_cloud makes of (N,) structured rows."""
    message = PointCloud2(header=header, height=1, width=len(table), fields=fields)
    message.point_step = table.itemsize
    message.row_step = table.nbytes
    message.data = array("B", table.tobytes())
    return message


def _grid(stamp_ns: int, frame_id: str, grid: BevGrid, values: NDArray[np.int8]) -> OccupancyGrid:
    message = OccupancyGrid(header=header_message(stamp_ns, frame_id))
    info = message.info
    info.map_load_time = time_message(stamp_ns)
    info.resolution = float(grid.resolution)
    info.width, info.height = grid.num_x, grid.num_y
    info.origin.position = Point(x=float(grid.x_min), y=float(grid.y_min), z=0.0)
    message.data = array("b", values.tobytes())
    return message
