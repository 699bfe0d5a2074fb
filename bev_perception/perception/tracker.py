# SPDX-License-Identifier: Apache-2.0
"""Ids and velocities of objects over time.

A Kalman filter of position and velocity per object in the world frame (constant velocity disturbed
by random accelerations; Bar-Shalom et al., "Estimation with Applications to Tracking and
Navigation", 2001, section 6.3); objects are assigned to predictions by least total distance
inside a gate. It knows nothing of appearance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bev_perception.geometry import ObjectBox, RigidTransform

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class TrackerSettings:
    """Defaults of the tracker.

    Attributes:
        gate_m: largest distance between prediction and object, metres.
        new_gate_m_per_s: how much an object seen once may have moved per second on top, as
            its velocity is not known yet.
        max_age_s: an object not seen for this long is forgotten.
        position_m: standard deviation of where objects are seen, per axis, metres.
        speed_m_per_s: that of the velocity of an object that was never seen before, per axis.
        acceleration_m_per_s2: that of accelerations, constant from one moment to the next.
        late_m_per_s: what an older pose adds to position_m and gates per second of its age: how
            fast the vehicle may have gone on.
        told_m_per_s: that of a velocity that a network tells, per axis.
        heading_speed: metres per second from which the motion decides between the two
            headings that a rectangle leaves open; slower, it is the one nearer to the last.
        heading_deviations: the same in standard deviations of the speed; both must be reached.
    """

    gate_m: float = 2.5
    new_gate_m_per_s: float = 10.0
    max_age_s: float = 1.0
    position_m: float = 0.5
    speed_m_per_s: float = 4.0
    acceleration_m_per_s2: float = 2.5
    late_m_per_s: float = 10.0
    told_m_per_s: float = 5.0
    heading_speed: float = 1.0
    heading_deviations: float = 2.0


DEFAULT_SETTINGS = TrackerSettings()
_HALF_TURN = RigidTransform.from_euler(yaw=np.pi)
_POSITION, _VELOCITY = np.array([1.0, 0.0]), np.array([0.0, 1.0])


@dataclass
class _Track:
    """An object that is followed.

    Attributes:
        object_id: of its boxes.
        state: (2, 2) position and velocity, by axis of the world.
        covariance: (2, 2) of position and velocity, the same for both axes.
        seen_ns: when it was seen last.
        hits: how often it was seen, by poses of those times; what was late shows no motion.
        heading: (2,) unit vector in the world, as told last.
    """

    object_id: int
    state: NDArray[np.float64]
    covariance: NDArray[np.float64]
    seen_ns: int
    hits: int = 1
    heading: NDArray[np.float64] | None = None

    def advance(self, elapsed_s: float, acceleration: float) -> None:
        """To what is expected so much later."""
        motion = np.array([[1.0, elapsed_s], [0.0, 1.0]])
        pushed = np.array([0.5 * elapsed_s**2, elapsed_s]) * acceleration
        self.state = motion @ self.state
        self.covariance = motion @ self.covariance @ motion.T + np.outer(pushed, pushed)

    def correct(self, seen: NDArray[np.float64], of: NDArray[np.float64], deviation: float) -> None:
        """By a measurement (2,) of position or velocity."""
        spread = self.covariance @ of
        gain = spread / (of @ spread + deviation**2)
        self.state = self.state + np.outer(gain, seen - of @ self.state)
        self.covariance = self.covariance - np.outer(gain, spread)


class Tracker:
    """Follows objects from one moment to the next.

    Ids grow and are never used again. Time that goes backwards, or an ego pose that begins
    or ceases to be known or is told in another frame, forgets all tracks.
    """

    def __init__(self, settings: TrackerSettings = DEFAULT_SETTINGS) -> None:
        self.settings = settings
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._stamp_ns: int | None = None
        self._has_pose = False
        self._world_frame = ""

    def update(
        self,
        objects: Sequence[ObjectBox],
        stamp_ns: int,
        world_T_frame: RigidTransform | None,
        world_frame: str = "",
        pose_age_ns: int = 0,
    ) -> tuple[ObjectBox, ...]:
        """The same objects with ids, velocities over ground, and headings along the motion.

        Args:
            objects: of one moment, in one frame, usually levelled base_link. A velocity over
                ground that is known was told by a network and is one more measurement.
            stamp_ns: of that moment, nanoseconds.
            world_T_frame: pose of that frame in a world at rest. When None the ids and headings
                hold but velocities stay what they are: they would be relative to the moving
                vehicle.
            world_frame: name of that world; another one is an unknown offset away.
            pose_age_ns: how much older than stamp_ns the pose is. Where objects are in that
                world is the less sure then.
        """
        has_pose = world_T_frame is not None
        world_frame = world_frame if has_pose else ""
        is_elsewhere = (has_pose, world_frame) != (self._has_pose, self._world_frame)
        if is_elsewhere or (self._stamp_ns or 0) > stamp_ns:
            self._tracks.clear()
        self._has_pose, self._world_frame, self._stamp_ns = has_pose, world_frame, stamp_ns
        pose = world_T_frame or RigidTransform.identity()
        oldest = stamp_ns - int(self.settings.max_age_s * NANOSECONDS)
        self._tracks = [track for track in self._tracks if track.seen_ns >= oldest]
        centers = np.array([box.center for box in objects]).reshape(-1, 3)
        positions = pose.apply(centers)[:, :2]
        told = np.array([box.velocity for box in objects]).reshape(-1, 3)
        is_told = has_pose & np.isfinite(told).all(axis=1)
        told = pose.rotate(told)[:, :2]
        late_m = self.settings.late_m_per_s * pose_age_ns / NANOSECONDS
        seen = stamp_ns, late_m
        tracks = [
            self._observed(owner, positions[row], told[row] if is_told[row] else None, *seen)
            for row, owner in enumerate(self._assign(positions, stamp_ns, late_m))
        ]
        flat = np.zeros((len(tracks), 3))
        for row, track in zip(flat, tracks):
            row[:2] = track.state[1]
        velocities = pose.inverse().rotate(flat)
        return tuple(
            self._described(box, track, velocity, pose)
            for box, track, velocity in zip(objects, tracks, velocities)
        )

    def _assign(
        self, positions: NDArray[np.float64], stamp_ns: int, late_m: float
    ) -> list[_Track | None]:
        """Per position (n, 2) its track, None for a new one."""
        owners: list[_Track | None] = [None] * len(positions)
        if not self._tracks or len(positions) == 0:
            return owners
        elapsed = np.array([(stamp_ns - track.seen_ns) / NANOSECONDS for track in self._tracks])
        states = np.array([track.state for track in self._tracks])
        predicted = states[:, 0] + states[:, 1] * elapsed[:, None]
        is_new = np.array([track.hits == 1 for track in self._tracks])
        gates = self.settings.gate_m + late_m + is_new * elapsed * self.settings.new_gate_m_per_s
        distance = np.linalg.norm(predicted[:, None] - positions[None], axis=-1)
        blocked = distance > gates[:, None]
        cost = np.where(blocked, 1e3 + distance, distance)
        for track_index, position_index in zip(*linear_sum_assignment(cost)):
            if not blocked[track_index, position_index]:
                owners[position_index] = self._tracks[track_index]
        return owners

    def _observed(
        self,
        track: _Track | None,
        position: NDArray[np.float64],
        velocity: NDArray[np.float64] | None,
        stamp_ns: int,
        late_m: float,
    ) -> _Track:
        settings = self.settings
        spread_m = settings.position_m + late_m
        if track is None:
            state = np.stack([position, np.zeros(2)])
            covariance = np.diag([spread_m**2, settings.speed_m_per_s**2])
            track = _Track(self._next_id, state, covariance, stamp_ns)
            self._next_id += 1
            self._tracks.append(track)
        else:
            elapsed_s = (stamp_ns - track.seen_ns) / NANOSECONDS
            if elapsed_s <= 0.0:
                return track
            track.advance(elapsed_s, settings.acceleration_m_per_s2)
            track.correct(position, _POSITION, spread_m)
            track.hits += late_m == 0.0
            track.seen_ns = stamp_ns
        if velocity is not None:
            track.correct(velocity, _VELOCITY, settings.told_m_per_s)
        return track

    def _described(
        self,
        box: ObjectBox,
        track: _Track,
        velocity: NDArray[np.float64],
        world_T_frame: RigidTransform,
    ) -> ObjectBox:
        """The box with what its track knows; the track learns which way it looks."""
        heading = world_T_frame.rotate(box.pose.rotation[:, 0])[:2]
        deviation = float(np.sqrt(track.covariance[1, 1]))
        sure = max(self.settings.heading_speed, self.settings.heading_deviations * deviation)
        is_moving = self._has_pose and np.hypot(*track.state[1]) >= sure
        forward = track.state[1] if is_moving else track.heading
        is_turned = forward is not None and float(forward @ heading) < 0.0
        track.heading = -heading if is_turned else heading
        return replace(
            box,
            object_id=track.object_id,
            pose=box.pose @ _HALF_TURN if is_turned else box.pose,
            velocity=velocity if self._has_pose else box.velocity,
        )
