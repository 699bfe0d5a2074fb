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
from bev_perception.ros.endpoints import Publisher, Subscribed
from bev_perception.ros.event_stream import SECOND, EventStream

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

Fault = tuple[Level, str]
"""How bad, and what is and what to do in words."""

_LATE_ADVICE = "compare its clock and delay with the other cameras', or raise sync_timeout_ms"
_STAMP_ADVICE = "its driver must stamp every image with its own, growing time"
_DROPS = {
    "late": (Cause.LATE, _LATE_ADVICE),
    "duplicate": (Cause.BAD_STAMPS, _STAMP_ADVICE),
    "out of order": (Cause.BAD_STAMPS, _STAMP_ADVICE),
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
        image, info: what is subscribed to.
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
        kind = COMPRESSED_IMAGE if compressed else IMAGE
        self.image = Subscribed(image_topic, kind, image_reliability)
        self.info = Subscribed(info_topic, CAMERA_INFO)
        self._needs_info = needs_info
        self._needs_transform = needs_transform
        self._stream = EventStream(thresholds.window_s)
        self._stamp_ns: int | None = None
        self._refusals: dict[Cause, str] = {}
        self._health: tuple[CameraHealth, int] | None = None
        self._has_info = False
        self._info_problem = ""
        self._transform_problem = ""
        self._incompatible_policy = ""
        self._publishers: tuple[Publisher, ...] = ()
        self._info_publishers: tuple[Publisher, ...] = ()
        self._image_topics: tuple[str, ...] = ()
        self._faults: dict[Cause, tuple[Fault, int]] = {}
        self._lock = RLock()

    def image_received(self, stamp_ns: int, now_ns: int, frame_id: str = "") -> None:
        """A message has come, whatever is in it."""
        with self._lock:
            self._advance(now_ns)
            self._stream.arrive()
            self._stamp_ns = stamp_ns
            self._incompatible_policy = ""
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
        self._incompatible_policy = policy

    def publishers(
        self,
        image: Sequence[Publisher],
        info: Sequence[Publisher] = (),
        image_topics: Sequence[str] = (),
    ) -> None:
        """Who publishes the two topics, and all topics of the graph that carry images."""
        with self._lock:
            self._publishers, self._info_publishers = tuple(image), tuple(info)
            self._image_topics = tuple(image_topics)

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
            level, text = Level.OK, f"{self._stream.rate_hz:.1f} images per second"
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
        silent_s, topic = self._stream.silent_s, self.image.topic
        if silent_s is not None and silent_s < self._stopped_after_s():
            return {}
        fitting = [entry for entry in self._publishers if entry.type == self.image.type]
        if self._publishers and not fitting:
            return {Cause.OTHER_TYPE: (Level.ERROR, self._type_text())}
        problems = [self.image.qos_problem(entry) for entry in fitting]
        if fitting and all(problems):
            text = f"{problems[0]}; set image_reliability: best_effort"
            return {Cause.OTHER_QOS: (Level.ERROR, text)}
        if fitting and self._incompatible_policy:
            text = (
                f"publisher {fitting[0].node} of {topic} and this node do not agree on the QoS "
                f"policy {self._incompatible_policy}; change it in the publisher"
            )
            return {Cause.OTHER_QOS: (Level.ERROR, text)}
        if silent_s is None:
            return {Cause.NEVER_PUBLISHED: (self._startup_level(), self._never_text(fitting))}
        who = f"publisher {fitting[0].node} is still there" if fitting else "its publisher is gone"
        text = f"{topic} stopped {silent_s:.1f} s ago, {who}; look at the camera and its driver"
        return {Cause.STOPPED: (Level.ERROR, text)}

    def _type_text(self) -> str:
        publisher = self._publishers[0]
        transport = {COMPRESSED_IMAGE: "compressed", IMAGE: "raw"}.get(publisher.type)
        advice = (
            f"set image_transport: {transport}"
            if transport
            else f"remap ~/input/{self.name}/image to its image topic"
        )
        return f"{self.image.type_problem(publisher)}; {advice}"

    def _never_text(self, fitting: Sequence[Publisher]) -> str:
        topic = self.image.topic
        if fitting:
            return (
                f"publisher {fitting[0].node} of {topic} has sent nothing yet; "
                f"look at the camera and its driver"
            )
        others = ", ".join(name for name in self._image_topics if name != topic)
        there = f" (there are images on {others})" if others else ""
        return (
            f"nobody publishes {topic}{there}; start its driver or remap ~/input/{self.name}/image"
        )

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
            faults[Cause.NO_INFO] = (self._startup_level(), self._info_text())
        if self._needs_info and self._info_problem:
            faults[Cause.UNCALIBRATED] = (Level.ERROR, self._info_problem)
        if self._needs_transform and self._transform_problem:
            faults[Cause.NO_TRANSFORM] = (self._startup_level(), self._transform_problem)
        return faults

    def _info_text(self) -> str:
        topic, remap = self.info.topic, f"remap ~/input/{self.name}/camera_info"
        if not self._info_publishers:
            return f"nobody publishes CameraInfo on {topic}; {remap} or give rig_file"
        publisher = self._info_publishers[0]
        problem = self.info.type_problem(publisher) or self.info.qos_problem(publisher)
        if problem:
            return f"{problem}; {remap}"
        return (
            f"publisher {publisher.node} has sent no CameraInfo on {topic}; "
            f"calibrate the camera or give rig_file"
        )

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
            "topic": self.image.topic,
            "rate_hz": f"{self._stream.rate_hz:.1f}",
            "received": str(totals["received"]),
            "used": str(totals["used"]),
        }
        for kind, count in sorted(totals.items()):
            if kind not in ("received", "used"):
                values[f"dropped: {kind}"] = str(count)
        if clock_ns is not None and self._stamp_ns is not None:
            values["last_stamp_age_s"] = f"{(clock_ns - self._stamp_ns) / SECOND:.3f}"
        values["publishers"] = "; ".join(map(str, self._publishers)) or "none"
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
