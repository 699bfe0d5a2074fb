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
from bev_perception.ros.camera_doubts import CameraDoubts, Fault, Sightings
from bev_perception.ros.camera_shares import ImageShares
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
from bev_perception.ros.lingering import Lingering

_INFO_CHANGES = "changed CameraInfo"

_UNSTEADY = {
    Cause.FLOODED,
    Cause.STOPPED,
    Cause.WRONG_ENCODING,
    Cause.UNDECODABLE,
    Cause.WRONG_SIZE,
    Cause.CHANGING_INFO,
    Cause.BLACK_IMAGE,
    Cause.NOISE,
    Cause.FROZEN,
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
        rectified: whether the images are taken for rectified.
        thresholds: when a cause holds.

    Attributes:
        frame_id: optical frame.
        topics: what is subscribed to, and who publishes it.
        doubts: told of contents and stamps that are suspicious.
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
        rectified: bool = False,
        thresholds: CameraThresholds = DEFAULT_THRESHOLDS,
    ) -> None:
        self.name = name
        self.frame_id = frame_id
        self.thresholds = thresholds
        self.topics = CameraTopics(name, image_topic, info_topic, compressed, image_reliability)
        self._rectified = rectified
        self._needs_info = needs_info
        self._needs_transform = needs_transform
        self._stream = EventStream(thresholds.window_s)
        self._shares = ImageShares(self._stream, thresholds)
        self._stamp_ns: int | None = None
        self._refusals: dict[Cause, str] = {}
        self._health: tuple[CameraHealth, int] | None = None
        self._has_info = False
        self._info_problem = ""
        self._info_level = Level.ERROR
        self._transform_problem = ""
        self._faults: dict[Cause, Fault] = {}
        self._lingering = {cause: Lingering(thresholds.clear_after_s) for cause in _UNSTEADY}
        self.doubts = CameraDoubts(info_topic, thresholds)
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

    def info_changed(self) -> None:
        """It says something else than the one before."""
        with self._lock:
            self._stream.count(_INFO_CHANGES)

    def newest_stamp_ns(self, now_ns: int) -> int | None:
        """Of the newest image, where it came within the last second."""
        with self._lock:
            self._advance(now_ns)
            silent_s = self._stream.silent_s
            return self._stamp_ns if silent_s is not None and silent_s < 1.0 else None

    def info_problem(self, problem: str, has_other: bool = False) -> None:
        """Why the newest CameraInfo cannot be used; empty when it can.

        Args:
            problem: in words.
            has_other: whether an earlier one is used instead.
        """
        self._info_problem = problem
        self._info_level = Level.WARN if has_other else Level.ERROR

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

    def verdict(self, now_ns: int) -> tuple[Level, Cause]:
        """Level and cause of status, for little work."""
        with self._lock:
            self._advance(now_ns)
            causes = self._update_faults(now_ns)
            return (self._faults[causes[0]][0], causes[0]) if causes else (Level.OK, Cause.NONE)

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
                level, text = self._faults[first]
                values["cause"] = first.value
                values["other causes"] = ", ".join(cause.value for cause in causes[1:])
            message = f"{name}: {_without_name(text, self.name)}"
            return CameraStatus(name, level, message, values, self.frame_id, first)

    def _advance(self, now_ns: int) -> None:
        if not self._stream.advance(now_ns):
            self._faults.clear()
            self._lingering = {
                cause: Lingering(self.thresholds.clear_after_s) for cause in _UNSTEADY
            }
            self._health = None
            self.doubts.forget()

    def _update_faults(self, now_ns: int) -> list[Cause]:
        """Causes to report, the first one first; unsteady ones are kept for a while."""
        newest_ns = self._stream.newest_ns.get(_INFO_CHANGES, now_ns)
        present = self.doubts.sightings(self._stream.recent(_INFO_CHANGES), newest_ns, now_ns)
        shares = self._shares
        present |= self._silence() | shares.unread(self._refusals) | self._uncalibrated()
        present |= shares.dropped() | self._unusable()
        for cause, (fault, seen_ns) in present.items():
            self._faults[cause] = fault
            if cause in self._lingering:
                self._lingering[cause].note(seen_ns)
        for cause in list(self._faults):
            lingering = self._lingering.get(cause)
            if not (cause in present if lingering is None else lingering.holds(now_ns)):
                del self._faults[cause]
        return [cause for cause in Cause if cause in self._faults]

    def _silence(self) -> Sightings:
        """Why no images come."""
        silent_s, now_ns = self._stream.silent_s, self._stream.now_ns
        if silent_s is not None and silent_s < self._stopped_after_s():
            return {}
        mismatch = self.topics.image_mismatch()
        if mismatch is not None:
            cause, text = mismatch
            return {cause: ((Level.ERROR, text), now_ns)}
        if silent_s is None:
            fault = self._startup_level(), self.topics.never_text()
            return {Cause.NEVER_PUBLISHED: (fault, now_ns)}
        return {Cause.STOPPED: ((Level.ERROR, self.topics.stopped_text(silent_s)), now_ns)}

    def _uncalibrated(self) -> Sightings:
        """What keeps the camera from being placed, whether images come or not."""
        faults: dict[Cause, Fault] = {}
        if self._needs_info and not self._has_info:
            faults[Cause.NO_INFO] = (self._startup_level(), self.topics.no_info_text())
        if self._needs_info and self._info_problem:
            faults[Cause.UNCALIBRATED] = (self._info_level, self._info_problem)
        if self._needs_transform and self._transform_problem:
            faults[Cause.NO_TRANSFORM] = (self._startup_level(), self._transform_problem)
        return {cause: (fault, self._stream.now_ns) for cause, fault in faults.items()}

    def _unusable(self) -> Sightings:
        """Images that can be read but are of no use."""
        if self._health is None or health_cause(self._health[0]) is Cause.NONE:
            return {}
        health, seen_ns = self._health
        return {health_cause(health): ((Level.ERROR, health.cause), seen_ns)}

    def _values(self, clock_ns: int | None) -> dict[str, str]:
        """Figures for those who look closer."""
        totals = self._stream.totals
        values = {
            "topic": self.topics.image.topic,
            "rectified": str(self._rectified).lower(),
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
