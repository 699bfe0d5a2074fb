# SPDX-License-Identifier: Apache-2.0
"""How well a part of the node does, in a word and in a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from bev_perception.ros.lingering import CLEAR_AFTER_S


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


class Cause(Enum):
    """Why a camera does not contribute, or not fully; the first that holds is reported."""

    OTHER_TYPE = "type mismatch"
    OTHER_QOS = "QoS mismatch"
    FLOODED = "flooded"
    NEVER_PUBLISHED = "never published"
    STOPPED = "stopped"
    WRONG_ENCODING = "wrong encoding"
    UNDECODABLE = "undecodable"
    NO_INFO = "no CameraInfo"
    UNCALIBRATED = "uncalibrated"
    CHANGING_INFO = "changing CameraInfo"
    NO_TRANSFORM = "no TF"
    WRONG_SIZE = "wrong size"
    BLACK_IMAGE = "black image"
    NOISE = "noise"
    FROZEN = "frozen image"
    LATE = "late"
    BAD_STAMPS = "bad stamps"
    NONE = "none"


@dataclass(frozen=True)
class Status:
    """One line of diagnostics.

    Attributes:
        name: of the part, for example "camera front".
        level: OK; WARN for less than all; ERROR for nothing; STALE for nothing new.
        message: one sentence: what is and what to do.
        values: figures, as text.
        hardware_id: what it is about, for example the camera's frame.
    """

    name: str
    level: Level
    message: str
    values: Mapping[str, str] = field(default_factory=dict)
    hardware_id: str = ""


_MAY_STILL_COME = {Cause.NEVER_PUBLISHED, Cause.NO_INFO, Cause.NO_TRANSFORM}


@dataclass(frozen=True)
class CameraStatus(Status):
    """Status of a camera: ERROR when it contributes nothing, WARN when less than it sends."""

    cause: Cause = Cause.NONE

    @property
    def is_starting(self) -> bool:
        """Whether something has not come yet that discovery may still bring."""
        return self.level is Level.WARN and self.cause in _MAY_STILL_COME


@dataclass(frozen=True)
class CameraThresholds:
    """When a cause holds.

    Attributes:
        startup_s: what is still missing is a warning for so long, then an error; discovery
            takes up to 2.5 s.
        stopped_s, stopped_periods: a camera has stopped when the larger of the two has passed
            without an image; a period is the median of its last intervals.
        window_s: time over which shares are taken.
        frozen_images, frozen_s: an image is frozen that has come again so many times over so
            long.
        info_changes: a CameraInfo is restless that has changed so often within the window.
        min_images: images in the window below which there are no shares.
        some_share: from this share of images refused or dropped a warning.
        most_share: from this share an error.
        clear_after_s: a cause that comes and goes is reported until it has been away so long,
            longer where it recurs; see Lingering.
    """

    startup_s: float = 3.0
    stopped_s: float = 0.6
    stopped_periods: float = 5.0
    window_s: float = 3.0
    frozen_images: int = 5
    frozen_s: float = 0.4
    info_changes: int = 3
    min_images: int = 3
    some_share: float = 0.1
    most_share: float = 0.9
    clear_after_s: float = CLEAR_AFTER_S


DEFAULT_THRESHOLDS = CameraThresholds()
