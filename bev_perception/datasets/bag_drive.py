# SPDX-License-Identifier: Apache-2.0
"""A labelled bag as a drive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from bev_perception.bags import BagReader
from bev_perception.datasets.labelled_set import LabelledSet
from bev_perception.geometry import Rig, RigFile
from bev_perception.perception import Synchronizer, frame_sets


class BagDrive:
    """The synchronised, labelled sets of a bag; see LabelledDrive.

    Args:
        path: of the bag.
        rig_file: names topics, frames or calibrations that the bag does not tell.

    Raises:
        BagError: the bag cannot be read.
    """

    def __init__(self, path: Path, rig_file: RigFile | None = None) -> None:
        self.path = path
        self._reader = BagReader(path, rig_file)

    def __enter__(self) -> BagDrive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._reader.close()

    @property
    def name(self) -> str:
        """Name of the bag."""
        return self.path.name

    @property
    def rig(self) -> Rig:
        """Calibration of all its cameras."""
        return self._reader.rig()

    def sets(
        self, stride: int = 1, labelled_only: bool = True, points_of: str = "none"
    ) -> Iterator[LabelledSet]:
        """Every stride-th synchronised set; those without labels are left out or have no boxes.

        Raises:
            BagError: the bag is damaged or its labels are impossible.
        """
        reader = self._reader
        for number, frame_set in enumerate(frame_sets(reader, Synchronizer(self.rig.names))):
            if number % stride:
                continue
            objects = reader.objects(frame_set.stamp_ns)
            if objects is not None or not labelled_only:
                points = None
                if points_of != "none":
                    points = reader.points(frame_set.stamp_ns, sensor=points_of)
                frame_set = replace(frame_set, points=points)
                yield LabelledSet(frame_set, objects or (), points=points)
