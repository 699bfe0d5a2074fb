# SPDX-License-Identifier: Apache-2.0
"""Whether TF tells where the vehicle is, and whether its senders can be heard at all."""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock

from bev_perception.bags.vehicle_frames import WORLD_FRAMES
from bev_perception.ros.camera_status import Level, Status
from bev_perception.ros.endpoints import Publisher, Subscribed
from bev_perception.ros.event_stream import EventStream
from bev_perception.ros.lingering import CLEAR_AFTER_S, Lingering

STATIC = Subscribed("/tf_static", "tf2_msgs/msg/TFMessage", "reliable", "transient_local")
MOVING = Subscribed("/tf", "tf2_msgs/msg/TFMessage", "reliable")
"""What tf2 and this node ask of publishers."""

_FITTING = {STATIC: "StaticTransformBroadcaster", MOVING: "TransformBroadcaster"}
"""What of tf2 publishes so that everybody hears it."""

_WINDOW_S = 3.0
_MISSING_SHARE = 0.1
_STALE_POSE_NS = 300_000_000
"""A pose so much older than the images is more than the time until the next one."""


class TransformMonitor:
    """Told of the pose of every set; may be called from any thread.

    Args:
        base_frame: of the vehicle.
        world_frame: the parameter; empty when any frame at rest will do.
    """

    def __init__(self, base_frame: str, world_frame: str = "") -> None:
        self._base_frame = base_frame
        self._asked_frame = world_frame
        self._frame = world_frame
        self._sets = EventStream(_WINDOW_S)
        self._age_ns = 0
        self._problem = ""
        self._problems = Lingering()
        self._stale, self._missing = (Lingering(longest_s=CLEAR_AFTER_S) for _ in range(2))
        self._is_stale = self._is_missing = False
        self._fall, self._falls = "", Lingering(longest_s=CLEAR_AFTER_S)
        self._unheard = ""
        self._lock = RLock()

    def pose_found(self, world_frame: str, age_ns: int, now_ns: int) -> None:
        """A set has an ego pose that is age_ns late, see EgoPose.late_ns."""
        with self._lock:
            self._sets.advance(now_ns)
            self._sets.arrive()
            self._sets.count("late" if age_ns else "exact")
            self._note_fall(world_frame, now_ns)
            self._frame, self._age_ns = world_frame, age_ns
            self._is_stale, self._is_missing = age_ns > _STALE_POSE_NS, False
            if self._is_stale:
                self._stale.note(now_ns)

    def _note_fall(self, world_frame: str, now_ns: int) -> None:
        """From map to odom, not back: that is no fault."""
        before = self._frame
        if {world_frame, before} <= {*WORLD_FRAMES} and (
            WORLD_FRAMES.index(world_frame) > WORLD_FRAMES.index(before)
        ):
            self._fall = (
                f"the pose of {self._base_frame} in {before} has ended and is taken in "
                f"{world_frame}; tracks and memory begin anew; look at the localisation"
            )
            self._falls.note(now_ns)

    def pose_missing(self, now_ns: int) -> None:
        """A set goes without a pose."""
        with self._lock:
            self._sets.advance(now_ns)
            self._sets.arrive()
            self._sets.count("missing")
            self._is_stale = False
            self._is_missing = self._sets.share("missing", 1) > _MISSING_SHARE
            if self._is_missing:
                self._missing.note(now_ns)

    def transform_refused(self, problem: str, now_ns: int) -> None:
        """A message on /tf or /tf_static that makes no transform, or contradicts others."""
        with self._lock:
            self._problem = problem
            self._problems.note(now_ns)

    def publishers(self, static: Sequence[Publisher], moving: Sequence[Publisher]) -> None:
        """Who publishes /tf_static, and who /tf."""
        problems = [
            f"{problem}; use a {_FITTING[asked]}"
            for asked, found in ((STATIC, static), (MOVING, moving))
            for entry in found
            if (problem := asked.qos_problem(entry))
        ]
        self._unheard = problems[0] if problems else ""

    def verdict(self, now_ns: int) -> Level:
        """Level of status, for little work."""
        with self._lock:
            self._sets.advance(now_ns)
            return self._judged(now_ns)[0]

    def status(self, now_ns: int) -> Status:
        """OK; WARN when a pose is missing that was there or was asked for, or TF is unfit."""
        with self._lock:
            self._sets.advance(now_ns)
            level, text = self._judged(now_ns)
            values = {
                "base_frame": self._base_frame,
                "world_frame": self._frame or "none",
                "pose_age_ms": f"{self._age_ns / 1e6:.0f}",
                "sets with exact pose": str(self._sets.totals["exact"]),
                "sets with older pose": str(self._sets.totals["late"]),
                "sets without pose": str(self._sets.totals["missing"]),
            }
            return Status("transforms", level, f"transforms: {text}", values, self._base_frame)

    def _judged(self, now_ns: int) -> tuple[Level, str]:
        if self._unheard:
            return Level.WARN, self._unheard
        if self._problems.holds(now_ns):
            return Level.WARN, self._problem
        needed = (
            bool(self._asked_frame) or self._sets.totals["missing"] < self._sets.totals["received"]
        )
        world = self._frame or "map or odom"
        if not self._sets.totals["received"]:
            return Level.OK, "no set of images has asked for a pose yet"
        if not self._sets.recent("received"):
            return Level.OK, "no set of images asks for a pose at present"
        if self._is_missing or self._missing.holds(now_ns):
            text = (
                f"no pose of {self._base_frame} in {world} on /tf, so maps are not levelled and "
                f"velocities stay zero"
            )
            return (Level.WARN, f"{text}; look at the localisation") if needed else (Level.OK, text)
        if self._is_stale or self._stale.holds(now_ns):
            return Level.WARN, (
                f"the pose of {self._base_frame} in {world} is {self._age_ns / 1e9:.1f} s older "
                f"than the images, so maps are levelled with it; look at the localisation's delay"
            )
        if self._falls.holds(now_ns):
            return Level.WARN, self._fall
        return Level.OK, f"pose of {self._base_frame} in {world}"
