# SPDX-License-Identifier: Apache-2.0
"""One labelled moment of a simulator into a bag: the one writer for the town and for CARLA."""

from __future__ import annotations

from collections.abc import Iterable

from bev_perception.bags import BagWriter
from bev_perception.geometry import FrameSet, LidarScan, ObjectBox, Rig


def write_labelled_set(
    writer: BagWriter,
    frame_set: FrameSet,
    objects: Iterable[ObjectBox],
    rig: Rig,
    jpeg_quality: int | None,
    scan: LidarScan | None = None,
) -> None:
    """Images with calibration and pose, labels, and a LiDAR's scan where there is one.

    Args:
        writer: of the open bag.
        frame_set: images of one moment.
        objects: the truth in base_link.
        rig: that took the images.
        jpeg_quality: 1 to 100, None for raw images.
        scan: in a frame that the writer was told with the rig.
    """
    writer.write_frame_set(frame_set, rig, jpeg_quality)
    writer.write_objects(frame_set.stamp_ns, objects)
    if scan is not None:
        writer.write_scan(frame_set.stamp_ns, scan)
