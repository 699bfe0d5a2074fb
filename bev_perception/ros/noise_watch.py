# SPDX-License-Identifier: Apache-2.0
"""Looks for noise in one camera's image per set, and in those where there was some."""

from __future__ import annotations

import time
from collections.abc import Mapping

from bev_perception.geometry import CameraFrame
from bev_perception.perception.image_noise import is_noise
from bev_perception.ros.camera_monitor import CameraMonitor


class NoiseWatch:
    """For the thread that has decoded the images, when they are published.

    Args:
        monitors: told of noise, by camera.
    """

    def __init__(self, monitors: Mapping[str, CameraMonitor]) -> None:
        self._monitors = monitors
        self._cameras = tuple(monitors)
        self._turn = 0
        self._suspects: set[str] = set()

    def look(self, frames: Mapping[str, CameraFrame]) -> None:
        """Takes some 30 microseconds for each image that is looked at.

        Args:
            frames: of one set, by camera.
        """
        self._turn = (self._turn + 1) % len(self._cameras)
        for camera in self._suspects | {self._cameras[self._turn]}:
            frame = frames.get(camera)
            if frame is not None and is_noise(frame.image):
                self._suspects.add(camera)
                self._monitors[camera].doubts.noise_seen(time.monotonic_ns())
            else:
                self._suspects.discard(camera)
