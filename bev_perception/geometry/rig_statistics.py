# SPDX-License-Identifier: Apache-2.0
"""What the rigs of many recordings have in common: kept beside weights, to be compared later."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bev_perception.errors import ConfigurationError
from bev_perception.geometry.rig import Rig, RigCamera

RIG_KEY = "rig"
"""Of the statistics in weights' metadata."""

_SAME_YAW_DEG = 5.0


@dataclass(frozen=True)
class CameraView:
    """How a camera sits and looks; the numbers that matter to a network.

    Attributes:
        height_m: above base_link's plane.
        horizontal_fov_deg: of its image.
        pitch_deg: of its view, positive upwards.
        yaw_deg: of its view, to the left of ahead, from -180 to 180.
    """

    height_m: float
    horizontal_fov_deg: float
    pitch_deg: float
    yaw_deg: float

    @classmethod
    def of(cls, entry: RigCamera) -> CameraView:
        """The view of a mounted camera."""
        view = entry.base_T_camera.rotation[:, 2]
        return cls(
            float(entry.base_T_camera.translation[2]),
            entry.camera.horizontal_fov_deg,
            math.degrees(math.asin(max(-1.0, min(1.0, float(view[2]))))),
            math.degrees(math.atan2(view[1], view[0])),
        )


@dataclass(frozen=True)
class RigStatistics:
    """Ranges over all cameras of all rigs.

    Attributes:
        rigs: how many recordings there were.
        cameras: fewest and most of a rig.
        height_m, horizontal_fov_deg, pitch_deg: least and largest, see CameraView.
        yaw_deg: directions that occur, growing, a few degrees apart.
    """

    rigs: int
    cameras: tuple[int, int]
    height_m: tuple[float, float]
    horizontal_fov_deg: tuple[float, float]
    pitch_deg: tuple[float, float]
    yaw_deg: tuple[float, ...]

    @classmethod
    def of(cls, rigs: Iterable[Rig]) -> RigStatistics:
        """Of one or more rigs.

        Raises:
            ConfigurationError: there are none.
        """
        counts: list[int] = []
        views: list[CameraView] = []
        for rig in rigs:
            counts.append(len(rig))
            views += [CameraView.of(entry) for entry in rig.cameras.values()]
        if not views:
            raise ConfigurationError("rig statistics of no rig; give at least one")
        return cls(
            len(counts),
            (min(counts), max(counts)),
            _range(view.height_m for view in views),
            _range(view.horizontal_fov_deg for view in views),
            _range(view.pitch_deg for view in views),
            _distinct(view.yaw_deg for view in views),
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RigStatistics:
        """Of to_dict's values.

        Raises:
            ConfigurationError: they are not such values.
        """
        try:
            return cls(
                int(values["rigs"]),
                _pair(values["cameras"], int),
                _pair(values["height_m"], float),
                _pair(values["horizontal_fov_deg"], float),
                _pair(values["pitch_deg"], float),
                tuple(float(value) for value in values["yaw_deg"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"these are no rig statistics: {error!r}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def _range(values: Iterable[float]) -> tuple[float, float]:
    known = [round(value, 3) for value in values]
    return min(known), max(known)


def _distinct(angles_deg: Iterable[float]) -> tuple[float, ...]:
    found: list[float] = []
    for angle in angles_deg:
        if all(abs((angle - other + 180) % 360 - 180) > _SAME_YAW_DEG for other in found):
            found.append(round(angle, 1) + 0.0)
    return tuple(sorted(found))


def _pair(values: Any, kind: Any) -> Any:
    low, high = values
    return kind(low), kind(high)
