# SPDX-License-Identifier: Apache-2.0
"""What can be chosen about the pipeline, in one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import OBJECT_CLASSES

_RADII = {
    "vehicle": "peak_radius_m",
    "pedestrian": "pedestrian_radius_m",
    "two_wheeler": "two_wheeler_radius_m",
}
_AREAS = {
    "vehicle": "min_area_m2",
    "pedestrian": "pedestrian_min_area_m2",
    "two_wheeler": "two_wheeler_min_area_m2",
}


@dataclass(frozen=True)
class PipelineSettings:
    """Defaults of the pipeline.

    Attributes:
        occupancy_threshold: probability from which a cell counts as occupied.
        center_threshold: value of the centre map from which a peak is an object.
        peak_radius_m: of two peaks closer than this, metres, the lower one is dropped; where the
            network tells classes apart, of two vehicles.
        pedestrian_radius_m, two_wheeler_radius_m: the same for two of those.
        group_radius_m: an occupied cell belongs to the peak nearest to where its offset
            points, if that is within this many metres.
        min_area_m2: objects whose occupied cells cover less than this, square metres, are dropped;
            where the network tells classes apart, vehicles.
        pedestrian_min_area_m2, two_wheeler_min_area_m2: the same for those.
        max_objects: only the highest peaks are kept.
        object_label: class given to every vehicle; the network knows no kinds of them, and a
            car is the most frequent one.
        object_height_m: height given to every object, metres; a passenger car's.
        level: whether the map is levelled with gravity where the ego pose is known.
        level_tolerance_deg: the tap table is kept until the vehicle's attitude differs from the
            table's by more than this. 0.03 degrees cost a tenth of a point of IoU within 25 m,
            0.1 degrees one point (benchmarks/levelling.py).
        track: whether objects get ids and velocities over time.
        residual_pose: whether errors of the cameras' attitude and height that neither calibration
            nor ego pose know of are measured in the images and taken out of the lift.
    """

    occupancy_threshold: float = 0.5
    center_threshold: float = 0.3
    peak_radius_m: float = 1.5
    pedestrian_radius_m: float = 0.5
    two_wheeler_radius_m: float = 1.0
    group_radius_m: float = 2.5
    min_area_m2: float = 0.75
    pedestrian_min_area_m2: float = 0.25
    two_wheeler_min_area_m2: float = 0.5
    max_objects: int = 256
    object_label: str = "car"
    object_height_m: float = 1.6
    level: bool = True
    level_tolerance_deg: float = 0.03
    track: bool = False
    residual_pose: bool = False

    def __post_init__(self) -> None:
        for name in ("occupancy_threshold", "center_threshold"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigurationError(
                    f"{name} must lie between 0 and 1, got {getattr(self, name)}"
                )
        for name in (*_RADII.values(), *_AREAS.values(), "group_radius_m", "object_height_m"):
            if not getattr(self, name) > 0.0:
                raise ConfigurationError(f"{name} must be positive, got {getattr(self, name)}")
        if self.max_objects < 1:
            raise ConfigurationError(f"max_objects must be at least 1, got {self.max_objects}")
        if not self.level_tolerance_deg >= 0.0:
            raise ConfigurationError(
                f"level_tolerance_deg must not be negative, got {self.level_tolerance_deg}"
            )
        if self.object_label not in OBJECT_CLASSES:
            raise ConfigurationError(
                f"unknown object_label {self.object_label!r}, "
                f"expected one of {', '.join(OBJECT_CLASSES)}"
            )

    def peak_radius_of(self, group: str) -> float:
        """Least distance of two peaks of one group of geometry.class_sets, metres."""
        return float(getattr(self, _RADII[group]))

    def min_area_of(self, group: str) -> float:
        """Least area of an object of one group of geometry.class_sets, square metres."""
        return float(getattr(self, _AREAS[group]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values that ``PipelineSettings(**values)`` restores."""
        return asdict(self)


DEFAULT_SETTINGS = PipelineSettings()
