# SPDX-License-Identifier: Apache-2.0
"""Which share of a camera's images of late could not be read, or came to nothing."""

from __future__ import annotations

from collections.abc import Mapping

from bev_perception.ros.camera_doubts import Sightings
from bev_perception.ros.camera_status import CameraThresholds, Cause, Level
from bev_perception.ros.event_stream import EventStream

_LATE_ADVICE = "compare its clock and delay with the other cameras', or raise sync_timeout_ms"
_STAMP_ADVICE = "its driver must stamp every image with its own, growing time"
_AHEAD_ADVICE = "its stamps run ahead of the other cameras'; compare the clocks"
_DROPS = {
    "late": (Cause.LATE, _LATE_ADVICE),
    "duplicate": (Cause.BAD_STAMPS, _STAMP_ADVICE),
    "out of order": (Cause.BAD_STAMPS, _STAMP_ADVICE),
    "overflow": (Cause.BAD_STAMPS, _AHEAD_ADVICE),
}
"""Of the synchroniser's causes those that are the camera's own."""


class ImageShares:
    """Judges shares.

    Args:
        stream: of the camera's images; counts refusals by their Cause's value.
        thresholds: from which share on it matters.
    """

    def __init__(self, stream: EventStream, thresholds: CameraThresholds) -> None:
        self._stream = stream
        self._thresholds = thresholds

    def unread(self, refusals: Mapping[Cause, str]) -> Sightings:
        """Images that cannot be read or do not fit.

        Args:
            refusals: what is wrong with the newest one of each cause.
        """
        return {
            cause: ((level, problem), self._stream.newest_ns[cause.value])
            for cause, problem in refusals.items()
            if (level := self._level(cause.value)) is not Level.OK
        }

    def dropped(self) -> Sightings:
        """Images that the synchroniser had no use for."""
        found = Sightings()
        for drop, (cause, advice) in _DROPS.items():
            level = self._level(drop)
            if level is not Level.OK:
                percent = 100 * self._stream.share(drop, self._thresholds.min_images)
                text = f"{percent:.0f} % of the images are dropped as {drop}; {advice}"
                found[cause] = (level, text), self._stream.newest_ns[drop]
        return found

    def _level(self, kind: str) -> Level:
        """How bad it is that so many images of the window are of a kind."""
        share = self._stream.share(kind, self._thresholds.min_images)
        if share >= self._thresholds.most_share:
            return Level.ERROR
        return Level.WARN if share >= self._thresholds.some_share else Level.OK
