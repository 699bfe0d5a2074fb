# SPDX-License-Identifier: Apache-2.0
"""Point clouds in shards: one ``.npy`` file of float32 per set and sensor.

(N, 3) metres in base_link at the set's stamp, not levelled with gravity, moved there by the ego
motion since the cloud was measured. A radar that says more of its returns than where they are has
the RADAR_VALUES behind, (N, 19). Clouds of more than ``max_points`` are thinned evenly.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.bag_reader import BagReader
from bev_perception.errors import BevError, DatasetError
from bev_perception.geometry.point_values import POINT_VALUES, RADAR_VALUES
from bev_perception.untrusted_arrays import read_array

SENSORS = ("lidar", "radar")
"""Those that a shard may hold a cloud of."""

POINT_BYTES = {"lidar": 12, "radar": 4 * (3 + len(RADAR_VALUES))}
"""At most, of one point."""

Clouds = Mapping[str, NDArray[np.float32]]
"""By sensor; only those that there are."""


class RecordedClouds:
    """The clouds of a bag, as they are stored.

    Args:
        bag: to read.
        max_points: larger clouds are thinned to so many; 0 leaves all clouds out.
    """

    def __init__(self, bag: BagReader, max_points: int) -> None:
        self._bag, self._max_points = bag, max_points
        self._lost: dict[str, list[str]] = {}
        self._kinds = {sensor: sensor for sensor in SENSORS} if max_points else {}
        if max_points and bag.has_point_values(RADAR_VALUES[:-1], "radar"):
            self._kinds["radar"] = "radar_features"

    def at(self, stamp_ns: int) -> Clouds:
        """Those beside one set; what cannot be read is left out and noted."""
        clouds = {}
        for sensor, kind in self._kinds.items():
            try:
                points = self._bag.points(stamp_ns, sensor=kind)
            except BevError as error:
                self._lost.setdefault(sensor, []).append(str(error))
                continue
            if points is not None:
                clouds[sensor] = _thinned(points, self._max_points).astype("<f4")
        return clouds

    @property
    def notes(self) -> list[str]:
        """A sentence for each sensor of which clouds could not be read."""
        return [
            f"{len(errors)} {sensor} clouds were left out: {errors[0]}"
            for sensor, errors in self._lost.items()
        ]


def cloud_bytes(points: NDArray[np.float32]) -> bytes:
    """The ``.npy`` file of a cloud."""
    file = io.BytesIO()
    np.save(file, points, allow_pickle=False)
    return file.getvalue()


def cloud_from_bytes(data: bytes, points_of: str) -> NDArray[np.float64]:
    """What a network gets of a stored cloud.

    Args:
        data: of the file.
        points_of: what the network takes beside images.

    Raises:
        ValueError: it is no such file.
        DatasetError: it lacks values that the network takes.
    """
    points = read_array(io.BytesIO(data), len(data))
    widths = {3, 3 + len(RADAR_VALUES)}
    if points.dtype != np.dtype("<f4") or points.ndim != 2 or points.shape[1] not in widths:
        raise ValueError(f"points are {points.dtype} of shape {points.shape}, not float32 (N, 3)")
    if not np.isfinite(points).all():
        raise ValueError("a point is not finite")
    wanted = 3 + len(POINT_VALUES[points_of])
    if points.shape[1] < wanted:
        raise DatasetError(
            f"its radar says where returns are and nothing else, but model.sensor {points_of} "
            f"takes {len(POINT_VALUES[points_of])} values of each; choose model.sensor radar"
        )
    return points[:, :wanted].astype(np.float64)


def _thinned(points: NDArray[np.float64], max_points: int) -> NDArray[np.float64]:
    if len(points) <= max_points:
        return points
    return points[np.linspace(0, len(points) - 1, max_points).astype(np.intp)]
