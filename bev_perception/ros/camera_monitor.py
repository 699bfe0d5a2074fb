# SPDX-License-Identifier: Apache-2.0
"""What happens to one camera's messages, and the one cause that its user should hear of.

Plain Python: the node tells of events, nobody waits. Times called now_ns are of a steady
clock, so neither the ROS clock nor the cameras' stamps can confuse it. All methods may be
called from any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock

from bev_perception.geometry import CameraHealth
from bev_perception.ros.camera_status import (
    DEFAULT_THRESHOLDS,
    CameraStatus,
    CameraThresholds,
    Cause,
    Level,
)
from bev_perception.ros.camera_topics import CameraTopics
from bev_perception.ros.endpoints import Publisher
from bev_perception.ros.event_stream import SECOND, EventStream

Fault = tuple[Level, str]
"""How bad, and what is and what to do in words."""

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

_UNSTEADY = {
    Cause.STOPPED,
    Cause.WRONG_ENCODING,
    Cause.UNDECODABLE,
    Cause.WRONG_SIZE,
    Cause.BLACK_IMAGE,
    Cause.LATE,
    Cause.BAD_STAMPS,
}
"""Causes that may come and go from image to image."""


class CameraMonitor:
    """One camera.

    Args:
        name: of the camera.
        image_topic, info_topic: resolved names, for messages.
        compressed: whether CompressedImage is subscribed to.
        image_reliability: of our subscription, best_effort or reliable.
        needs_info, needs_transform: false where a rig file gives the calibration.
        frame_id: optical frame, the status' hardware_id; image_received may tell it later.
        thresholds: when a cause holds.

    Attributes:
        frame_id: optical frame.
        topics: what is subscribed to, and who publishes it.
    """

    def __init__(
        self,
        name: str,
        image_topic: str,
        info_topic: str,
        *,
        compressed: bool = False,
        image_reliability: str = "best_effort",
        needs_info: bool = True,
        needs_transform: bool = True,
        frame_id: str = "",
        thresholds: CameraThresholds = DEFAULT_THRESHOLDS,
    ) -> None:
        self.name = name
        self.frame_id = frame_id
        self.thresholds = thresholds
        self.topics = CameraTopics(name, image_topic, info_topic, compressed, image_reliability)
        self._needs_info = needs_info
        self._needs_transform = needs_transform
        self._stream = EventStream(thresholds.window_s)
        self._stamp_ns: int | None = None
        self._refusals: dict[Cause, str] = {}
        self._health: tuple[CameraHealth, int] | None = None
        self._has_info = False
        self._info_problem = ""
        self._transform_problem = ""
        self._faults: dict[Cause, tuple[Fault, int]] = {}
        self._lock = RLock()

    def image_received(self, stamp_ns: int, now_ns: int, frame_id: str = "") -> None:
        """A message has come, whatever is in it."""
        with self._lock:
            self._advance(now_ns)
            self._stream.arrive()
            self._stamp_ns = stamp_ns
            self.topics.refused_policy = ""
            self.frame_id = frame_id or self.frame_id

    def image_used(self, count: int = 1) -> None:
        """It is in a set that was given out."""
        with self._lock:
            self._stream.count("used", count)

    def image_refused(self, problem: str, cause: Cause = Cause.UNDECODABLE) -> None:
        """It cannot be read (WRONG_ENCODING, UNDECODABLE) or does not fit (WRONG_SIZE)."""
        with self._lock:
            self._refusals[cause] = problem
            self._stream.count(cause.value)

    def images_dropped(self, cause: str, count: int = 1) -> None:
        """The synchroniser (its DROP_CAUSES) or the worker ("busy") has dropped images."""
        with self._lock:
            self._stream.count(cause, count)

    def health(self, health: CameraHealth) -> None:
        """What the pipeline said of this camera in the set that it has just processed."""
        with self._lock:
            self._health = health, self._stream.now_ns

    def info_received(self) -> None:
        """A CameraInfo has come."""
        self._has_info = True

    def info_problem(self, problem: str) -> None:
        """Why the newest CameraInfo cannot be used; empty when it can."""
        self._info_problem = problem

    def transform_problem(self, problem: str) -> None:
        """Why the camera's place on the vehicle is unknown; empty when it is known."""
        self._transform_problem = problem

    def incompatible_qos(self, policy: str) -> None:
        """The middleware reports a publisher whose QoS keeps its images from us."""
        self.topics.refused_policy = policy

    def publishers(
        self,
        image: Sequence[Publisher],
        info: Sequence[Publisher] = (),
        image_topics: Sequence[str] = (),
    ) -> None:
        """Who publishes the two topics, and all topics of the graph that carry images."""
        with self._lock:
            self.topics.image_publishers = tuple(image)
            self.topics.info_publishers = tuple(info)
            self.topics.image_topics = tuple(image_topics)

    def status(self, now_ns: int, clock_ns: int | None = None) -> CameraStatus:
        """The first cause that holds, of Cause's order.

        Args:
            now_ns: steady clock, as in image_received.
            clock_ns: the clock that the stamps are of, for their age.
        """
        with self._lock:
            self._advance(now_ns)
            causes = self._update_faults(now_ns)
            values = self._values(clock_ns)
            name, first = f"camera {self.name}", Cause.NONE
            level, text = Level.OK, "images begin to come"
            if self._stream.period_s is not None:
                text = f"{self._stream.rate_hz:.1f} images per second"
            if causes:
                first = causes[0]
                level, text = self._faults[first][0]
                values["cause"] = first.value
                values["other causes"] = ", ".join(cause.value for cause in causes[1:])
            message = f"{name}: {_without_name(text, self.name)}"
            return CameraStatus(name, level, message, values, self.frame_id, first)

    def _advance(self, now_ns: int) -> None:
        if not self._stream.advance(now_ns):
            self._faults.clear()
            self._health = None

    def _update_faults(self, now_ns: int) -> list[Cause]:
        """Causes to report, the first one first; unsteady ones are kept for a while."""
        present = self._silence() | self._unread() | self._uncalibrated() | self._unusable()
        self._faults.update({cause: (fault, now_ns) for cause, fault in present.items()})
        kept_ns = self.thresholds.clear_after_s * SECOND
        for cause, (_, seen_ns) in list(self._faults.items()):
            is_kept = cause in _UNSTEADY and now_ns - seen_ns < kept_ns
            if cause not in present and not is_kept:
                del self._faults[cause]
        return [cause for cause in Cause if cause in self._faults]

    def _silence(self) -> dict[Cause, Fault]:
        """Why no images come."""
        silent_s = self._stream.silent_s
        if silent_s is not None and silent_s < self._stopped_after_s():
            return {}
        mismatch = self.topics.image_mismatch()
        if mismatch is not None:
            cause, text = mismatch
            return {cause: (Level.ERROR, text)}
        if silent_s is None:
            return {Cause.NEVER_PUBLISHED: (self._startup_level(), self.topics.never_text())}
        return {Cause.STOPPED: (Level.ERROR, self.topics.stopped_text(silent_s))}

    def _unread(self) -> dict[Cause, Fault]:
        """Images that cannot be read or do not fit."""
        return {
            cause: (level, problem)
            for cause, problem in self._refusals.items()
            if (level := self._share_level(cause.value)) is not Level.OK
        }

    def _uncalibrated(self) -> dict[Cause, Fault]:
        """What keeps the camera from being placed, whether images come or not."""
        faults: dict[Cause, Fault] = {}
        if self._needs_info and not self._has_info:
            faults[Cause.NO_INFO] = (self._startup_level(), self.topics.no_info_text())
        if self._needs_info and self._info_problem:
            faults[Cause.UNCALIBRATED] = (Level.ERROR, self._info_problem)
        if self._needs_transform and self._transform_problem:
            faults[Cause.NO_TRANSFORM] = (self._startup_level(), self._transform_problem)
        return faults

    def _unusable(self) -> dict[Cause, Fault]:
        """Images that can be read but are of no use."""
        faults: dict[Cause, Fault] = {}
        for drop, (cause, advice) in _DROPS.items():
            level = self._share_level(drop)
            if level is not Level.OK:
                percent = 100 * self._stream.share(drop, self.thresholds.min_images)
                text = f"{percent:.0f} % of the images are dropped as {drop}; {advice}"
                faults[cause] = (level, text)
        if self._health is not None:
            health, seen_ns = self._health
            is_new = self._stream.now_ns - seen_ns < self.thresholds.window_s * SECOND
            cause = health_cause(health)
            if is_new and cause is not Cause.NONE:
                faults[cause] = (Level.ERROR, health.cause)
        return faults

    def _values(self, clock_ns: int | None) -> dict[str, str]:
        """Figures for those who look closer."""
        totals = self._stream.totals
        values = {
            "topic": self.topics.image.topic,
            "rate_hz": f"{self._stream.rate_hz:.1f}",
            "received": str(totals["received"]),
            "used": str(totals["used"]),
        }
        for kind, count in sorted(totals.items()):
            if kind not in ("received", "used"):
                values[f"dropped: {kind}"] = str(count)
        if clock_ns is not None and self._stamp_ns is not None:
            values["last_stamp_age_s"] = f"{(clock_ns - self._stamp_ns) / SECOND:.3f}"
        values["publishers"] = "; ".join(map(str, self.topics.image_publishers)) or "none"
        return values

    def _startup_level(self) -> Level:
        """Of what may still come."""
        return Level.WARN if self._stream.age_s < self.thresholds.startup_s else Level.ERROR

    def _share_level(self, kind: str) -> Level:
        """How bad it is that so many images of the window are of a kind."""
        share = self._stream.share(kind, self.thresholds.min_images)
        if share >= self.thresholds.most_share:
            return Level.ERROR
        return Level.WARN if share >= self.thresholds.some_share else Level.OK

    def _stopped_after_s(self) -> float:
        """How long the camera may be silent."""
        limits, period_s = self.thresholds, self._stream.period_s
        if period_s is None:
            return max(limits.stopped_s, limits.startup_s)
        return max(limits.stopped_s, limits.stopped_periods * period_s)


def health_cause(health: CameraHealth) -> Cause:
    """The pipeline's words as a Cause; NONE also for an image that did not come in time."""
    if health.ok or health.cause.startswith("no image"):
        return Cause.NONE
    return Cause.BLACK_IMAGE if health.cause.startswith("image ") else Cause.WRONG_SIZE


def _without_name(text: str, camera: str) -> str:
    """Errors name their camera themselves."""
    return text.removeprefix(f"camera {camera}: ").removeprefix(f"camera {camera!r}: ")
