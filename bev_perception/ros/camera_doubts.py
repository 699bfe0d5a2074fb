# SPDX-License-Identifier: Apache-2.0
"""What makes one doubt images that come in time and can be read."""

from __future__ import annotations

from bev_perception.ros.camera_status import CameraThresholds, Cause, Level
from bev_perception.ros.event_stream import SECOND

Fault = tuple[Level, str]
"""How bad, and what is and what to do in words."""

Sightings = dict[Cause, tuple[Fault, int]]
"""What is wrong, and when that was last seen, steady nanoseconds."""


class CameraDoubts:
    """Contents, stamps and CameraInfo of one camera; all that is told of is a warning.

    Args:
        info_topic: for messages.
        thresholds: when a doubt is worth telling.
    """

    def __init__(self, info_topic: str, thresholds: CameraThresholds) -> None:
        self._info_topic = info_topic
        self._thresholds = thresholds
        self._repeated = (0, 0, 0)
        self._noise_ns: int | None = None
        self._flood = ("", 0)
        self._stamps = ""

    def forget(self) -> None:
        """Steady time ran backwards."""
        self._repeated, self._noise_ns, self._stamps = (0, 0, 0), None, ""

    def image_repeated(self, count: int, now_ns: int) -> None:
        """The image that comes now is the same as so many before it."""
        since_ns = self._repeated[1] if count else now_ns
        self._repeated = count, since_ns, now_ns

    def noise_seen(self, now_ns: int) -> None:
        """The newest image that was looked at is noise."""
        self._noise_ns = now_ns

    def flooded(self, problem: str, now_ns: int) -> None:
        """More or larger images came than the parameters allow; they are left out for a while."""
        self._flood = problem, now_ns

    def stamps_differ(self, problem: str) -> None:
        """By how much its stamps differ from others'; empty where they do not."""
        self._stamps = problem

    def sightings(self, info_changes: int, info_ns: int, now_ns: int) -> Sightings:
        """What there is to tell.

        Args:
            info_changes: of CameraInfo, within the window.
            info_ns: when the last of them was.
            now_ns: steady time.
        """
        limits, found = self._thresholds, Sightings()
        count, since_ns, seen_ns = self._repeated
        for_s = (seen_ns - since_ns) / SECOND
        if count >= limits.frozen_images and for_s >= limits.frozen_s:
            text = (
                f"the last {count + 1} images, of {for_s:.1f} s, are the same to the last bit "
                f"under different stamps; a sensor is never so still: look at the camera and its "
                f"driver (a rendered scene at rest may be)"
            )
            found[Cause.FROZEN] = (Level.WARN, text), seen_ns
        if self._flood[0]:
            found[Cause.FLOODED] = (Level.ERROR, self._flood[0]), self._flood[1]
        if self._noise_ns is not None:
            text = (
                "its images are noise, neighbouring pixels have nothing to do with each other; "
                "look at the sensor, its cable and its gain"
            )
            found[Cause.NOISE] = (Level.WARN, text), self._noise_ns
        if self._stamps:
            found[Cause.BAD_STAMPS] = (Level.WARN, self._stamps), now_ns
        if info_changes >= limits.info_changes:
            text = (
                f"{self._info_topic} has changed {info_changes} times within "
                f"{limits.window_s:g} s; let one publisher tell one calibration, or give a rig file"
            )
            found[Cause.CHANGING_INFO] = (Level.WARN, text), info_ns
        return found
