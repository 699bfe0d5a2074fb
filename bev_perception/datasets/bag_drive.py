# SPDX-License-Identifier: Apache-2.0
"""A labelled bag as a drive."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags import BagReader
from bev_perception.bags.undecoded_frame import UndecodedFrame
from bev_perception.datasets.labelled_set import LabelledSet
from bev_perception.geometry import FrameSet, Rig, RigFile
from bev_perception.perception import SynchronizedSet, Synchronizer, synchronized_sets

_LOGGER = logging.getLogger(__name__)


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
        """Every stride-th set; those without labels are not counted, or have no boxes.

        Images of sets that are passed over are not decoded.

        Raises:
            BagError: the bag is damaged or its labels are impossible.
        """
        reader, since_last = self._reader, stride
        for sentence in reader.rig_changes.sentences():
            _LOGGER.warning("%s: %s", self.path, sentence)
        synchronizer: Synchronizer[UndecodedFrame] = Synchronizer(self.rig.names)
        for found in synchronized_sets(reader.undecoded_frames(), synchronizer):
            if labelled_only and not reader.has_labels(found.stamp_ns):
                continue
            since_last += 1
            if since_last < stride:
                continue
            objects = reader.objects(found.stamp_ns)
            if objects is None and labelled_only:  # TF does not reach them: the next one
                continue
            since_last = 0
            points = None
            if points_of != "none":
                points = reader.points(found.stamp_ns, sensor=points_of)
            yield LabelledSet(self._decoded(found, points), objects or (), points=points)

    def _decoded(
        self, found: SynchronizedSet[UndecodedFrame], points: NDArray[np.float64] | None
    ) -> FrameSet:
        return FrameSet(
            found.stamp_ns,
            {name: frame.decode() for name, frame in found.frames.items()},
            found.missing,
            self._reader.world_T_base(found.stamp_ns),
            points,
            world_frame=self._reader.world_frame(found.stamp_ns),
        )
