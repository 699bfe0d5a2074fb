# SPDX-License-Identifier: Apache-2.0
"""One labelled moment of a simulator into a bag: the one writer for the town and for CARLA."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags import BagWriter
from bev_perception.geometry import FrameSet, ObjectBox, Rig


def write_labelled_set(
    writer: BagWriter,
    frame_set: FrameSet,
    objects: Iterable[ObjectBox],
    rig: Rig,
    jpeg_quality: int | None,
    points: NDArray[np.floating] | None = None,
) -> None:
    """Images with calibration and pose, labels, and LiDAR points where there are any.

    Args:
        writer: of the open bag.
        frame_set: images of one moment.
        objects: the truth in base_link.
        rig: that took the images.
        jpeg_quality: 1 to 100, None for raw images.
        points: (N, 3) in base_link.
    """
    writer.write_frame_set(frame_set, rig, jpeg_quality)
    writer.write_objects(frame_set.stamp_ns, objects)
    if points is not None:
        writer.write_points(frame_set.stamp_ns, points)
