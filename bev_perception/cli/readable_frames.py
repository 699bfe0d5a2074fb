# SPDX-License-Identifier: Apache-2.0
"""The images of a bag without those that are damaged."""

from __future__ import annotations

from collections.abc import Iterator

from bev_perception.bags import BagReader
from bev_perception.errors import BagError
from bev_perception.geometry import CameraFrame
from bev_perception.perception import Synchronizer

HOPELESS_IMAGES = 10
"""So many images of a camera that cannot be read, and none that can, are the bag's fault."""


def readable_frames(
    reader: BagReader, synchronizer: Synchronizer[CameraFrame]
) -> Iterator[CameraFrame]:
    """Images of the synchroniser's cameras; those that do not decode are counted as dropped.

    Raises:
        BagError: no image of a camera can be read, which no one damaged image explains.
    """
    statistics = synchronizer.statistics
    first_errors: dict[str, BagError] = {}

    def count(camera: str, error: BagError) -> None:
        first_errors.setdefault(camera, error)
        statistics.count_dropped(camera, "undecodable")
        if statistics.dropped[camera]["undecodable"] >= HOPELESS_IMAGES:
            raise_hopeless(camera)

    def raise_hopeless(camera: str) -> None:
        if not statistics.received[camera]:
            raise first_errors[camera]

    yield from reader.camera_frames(synchronizer.cameras, on_damaged=count)
    for camera in first_errors:
        raise_hopeless(camera)
