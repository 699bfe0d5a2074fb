# SPDX-License-Identifier: Apache-2.0
"""An image of a bag that is decoded when it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bev_perception.geometry import CameraFrame


@dataclass(frozen=True, eq=False)
class UndecodedFrame:
    """What one camera sent at one time; a Synchronizer takes it as it takes a CameraFrame.

    Attributes:
        camera: name in the rig.
        stamp_ns: time of exposure, nanoseconds.
        decode: gives the frame with its image; raises BagError where the image is damaged or has
            another size than its calibration. Only while the bag is open.
    """

    camera: str
    stamp_ns: int
    decode: Callable[[], CameraFrame]
