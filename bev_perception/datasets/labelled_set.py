# SPDX-License-Identifier: Apache-2.0
"""Labelled moments and the drives they come from, whatever they are stored in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import FrameSet, ObjectBox, Rig


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """The images of one moment and what is around the vehicle at that moment.

    Attributes:
        frame_set: images as the cameras gave them, with the ego pose.
        objects: boxes in base_link (not levelled) at frame_set.stamp_ns.
        rig: calibration of these images where it is not the drive's, as in data whose
            cameras are mounted in the frame of another moment; else None.
        points: (N, 3) LiDAR or radar points in base_link (not levelled) where they were asked
            for and there are any, with values behind as geometry.point_values says; else None.
    """

    frame_set: FrameSet
    objects: tuple[ObjectBox, ...]
    rig: Rig | None = None
    points: NDArray[np.float64] | None = None


class LabelledDrive(Protocol):
    """One drive: a bag, or the shards made of one. A context manager that closes its files."""

    @property
    def name(self) -> str:
        """Of the drive, for people."""
        ...

    @property
    def rig(self) -> Rig:
        """Calibration of the images as they come."""
        ...

    def sets(
        self, stride: int = 1, labelled_only: bool = True, points_of: str = "none"
    ) -> Iterator[LabelledSet]:
        """Every stride-th moment in order; those without labels are not counted, or have no boxes.

        With the points that a network takes whose model.sensor is points_of.

        Raises:
            BevError: what is stored is damaged.
        """
        ...

    def __enter__(self) -> LabelledDrive: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
