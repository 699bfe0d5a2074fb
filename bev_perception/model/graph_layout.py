# SPDX-License-Identifier: Apache-2.0
"""The fixed sizes of an exported graph's inputs, whatever its lift."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError
from bev_perception.model.config import SegnetConfig
from bev_perception.model.lift_geometry import LiftGeometry

IMAGES_NAME, SENSOR_NAME = "images", "sensor_map"
RESIZE_NAMES = ("rows", "columns")
"""Further inputs of graphs that take raw images."""


class GraphLayout(ABC):
    """Sizes of the tables by which a graph lifts; subclasses are dataclasses of plain values.

    Another rig needs no other graph as long as its geometry has room in them.

    Attributes:
        TABLES: names of the inputs, in order.
        num_cameras: images.
        raw_size: (height, width) of images that the graph resizes; None where they come prepared.
    """

    TABLES: ClassVar[tuple[str, ...]]
    num_cameras: int
    raw_size: tuple[int, int] | None

    def __post_init__(self) -> None:
        if self.raw_size is not None:
            height, width = self.raw_size
            object.__setattr__(self, "raw_size", (int(height), int(width)))

    def input_names(self, config: SegnetConfig) -> tuple[str, ...]:
        """Of the graph of a network, in order."""
        sensor = (SENSOR_NAME,) if config.sensor_channels else ()
        resize = () if self.raw_size is None else RESIZE_NAMES
        return (IMAGES_NAME, *self.TABLES, *sensor, *resize)

    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """All that makes its graph another one, the raw size left out."""

    @abstractmethod
    def room(self) -> str:
        """What there is room for, in words."""

    @abstractmethod
    def has_room_for(self, geometry: LiftGeometry) -> bool:
        """Whether the geometry of a rig fits."""

    @abstractmethod
    def grown_for(self, geometry: LiftGeometry) -> GraphLayout:
        """This layout, or one with room for the geometry where this one has too little."""

    @abstractmethod
    def tables(self, geometry: LiftGeometry) -> dict[str, NDArray[Any]]:
        """The geometry of one rig on the CPU as the graph's inputs by name.

        Raises:
            ConfigurationError: the layout has too little room, see grown_for.
        """

    @abstractmethod
    def example(self, config: SegnetConfig) -> dict[str, NDArray[Any]]:
        """Tables of the layout's sizes for a network, of zeros."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that the constructor takes."""
        values: dict[str, Any] = asdict(self)  # type: ignore[call-overload]
        if self.raw_size is None:
            del values["raw_size"]
        return values


def require_room(layout: GraphLayout, geometry: LiftGeometry) -> None:
    """Refuses geometries that a layout cannot hold.

    Raises:
        ConfigurationError: names both.
    """
    if geometry.batch_size != 1 or not layout.has_room_for(geometry):
        raise ConfigurationError(
            f"a geometry of {geometry.batch_size} rigs of {geometry.num_cameras} cameras does not "
            f"fit into a graph with room for {layout.num_cameras} cameras, {layout.room()}"
        )


def checked_sizes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes from a file, lists as tuples.

    Raises:
        ValueError: one is no positive number or list of such.
    """
    checked = {}
    for name, value in values.items():
        numbers = value if isinstance(value, list) else [value]
        if not numbers or not all(type(one) is int and 0 < one < 1 << 31 for one in numbers):
            raise ValueError(f"{name} must be a positive number, got {str(value)[:80]}")
        checked[name] = tuple(value) if isinstance(value, list) else value
    return checked


def in_steps(count: int, step: int) -> int:
    """A count with a little room, rounded up so that rigs of a kind share it."""
    return int(np.ceil(1.02 * count / step)) * step
