# SPDX-License-Identifier: Apache-2.0
"""Roll and pitch of a vehicle from an IMU: the gyroscope for short times, gravity for long ones.

A multiplicative extended Kalman filter (Markley, "Attitude Error Representations for Kalman
Filtering", 2003) of the direction of up and the gyroscope's bias. Ten times per second it is told
where up is: the mean specific force of the last second, minus the vehicle's own acceleration.
That is the second difference of the positions at the second's ends and middle: for any motion it
is exactly the mean of acceleration under a triangle, so the specific force is averaged under the
same triangle and nothing has to be differentiated or delayed.

Without positions the vehicle's acceleration is unknown, and braking at 2 m/s² looks like 11 degrees
of pitch. Gravity then counts only in seconds in which the specific force stays the same while the
gyroscope says that nothing turns (a vehicle that stands, or rolls along), and least where it
contradicts the gyroscope, which carries the attitude through all that is between them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bev_perception.geometry import RigidTransform
from bev_perception.geometry.imu import GRAVITY, ImuSample, attitude_of
from bev_perception.perception.force_window import TICK_S, ForceWindow

NANOSECONDS = 1_000_000_000
GAP_S = 0.25
"""A longer pause between samples, and all begins anew."""
SWAP_S = 0.1
"""A sample that is older than the one before by so much was overtaken and is left out; one that is
older still begins another time line."""
AHEAD_S = 0.1
"""How far a sample is turned on to a stamp behind it."""
KEPT_S = 3.0
KNOWN_DEG = 1.0
"""Standard deviation up to which an attitude is used."""
STEEPEST_DEG = 35.0
"""No vehicle drives so: the IMU's frame in TF is not the one it measures in."""
FAULTY_S, BLIND_FAULTY_S = 2.0, 10.0
"""Gravity that is impossible for so long is told: a jump of the pose lasts a second; hard braking,
where nobody knows of it, some."""
NORM_TOLERANCE = 0.6
"""Metres per second squared by which gravity, as measured, may miss its length."""

_GYRO_NOISE = math.radians(0.03)
"""Per square root of a second."""
_BIAS_WALK = math.radians(0.003)
_FIRST_BIAS = math.radians(0.3)
_GRAVITY_SIGMA = math.radians(1.5)
"""Of one tick whose acceleration is known by the positions: a centimetre of position is half a
degree, and ten ticks in a row share the same second."""
_CALM_SIGMA = math.radians(1.5)
"""Of one tick whose acceleration is not known, in a calm second."""
CALM = 0.06
"""Metres per second squared by which the specific force may vary within a calm second."""
CALM_TICKS = 40
"""Calm seconds in a row, by their ends, before the first of them counts."""
_FIRST_TILT = math.radians(2.5)
"""Vehicles are about level until more is known."""
_MOST_BLIND = math.radians(2.0)
"""An even acceleration of 0.35 m/s² cannot be told from standing; none beyond is taken for it."""
_DOUBT = math.radians(1.5)
"""Contradictions to the gyroscope beyond this lose weight as Cauchy's distribution has it."""

Positions = Callable[[int], "RigidTransform | None"]
"""A stamp to the vehicle's pose in a frame at rest at that time; only heading and place count."""


@dataclass(frozen=True)
class ImuTilt:
    """What an IMU says of one moment.

    Attributes:
        level_T_base: the attitude, as geometry.frames.levelled has it; None where it is not known
            well enough.
        sigma_deg: standard deviation of its angles.
        bias_deg_s: (3,) gyroscope's bias in base_link, degrees per second.
        knows_acceleration: whether positions told the vehicle's acceleration.
        problem: why the attitude is not known; empty where it is.
    """

    level_T_base: RigidTransform | None = None
    sigma_deg: float = math.inf
    bias_deg_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    knows_acceleration: bool = False
    problem: str = "the IMU has not been heard for long enough yet"


class ImuAttitude:
    """Takes samples; those that others have overtaken are left out. For one thread at a time.

    Args:
        positions: asked at every tick; None where there is no pose at that time.
    """

    def __init__(self, positions: Positions) -> None:
        self._positions = positions
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self._last: tuple[int, NDArray[np.float64], NDArray[np.float64]] | None = None
        self._still_R_base = np.eye(3)
        self._up = np.array([0.0, 0.0, 1.0])
        self._bias = np.zeros(3)
        self._covariance = np.diag([_FIRST_TILT**2] * 3 + [_FIRST_BIAS**2] * 3)
        self._window = ForceWindow()
        self._tick_R_base = np.eye(3)
        self._stamps: list[int] = []
        self._history: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        self._knows_acceleration = False
        self._problem = ImuTilt.problem
        self._faults = self._calm_ticks = 0

    def add(self, sample: ImuSample, base_T_imu: RigidTransform) -> None:
        """One sample; base_T_imu places the IMU on the vehicle."""
        rate, force = base_T_imu.rotate(np.stack([sample.angular_velocity, sample.specific_force]))
        if self._last is not None:
            elapsed_s = (sample.stamp_ns - self._last[0]) / NANOSECONDS
            if -SWAP_S <= elapsed_s <= 0.0:
                return
            if 0.0 < elapsed_s <= GAP_S:
                self._advance(elapsed_s, rate, force)
                if self._window.is_due:
                    self._tick(sample.stamp_ns, base_T_imu.translation)
            else:
                self.reset()
        self._last = sample.stamp_ns, rate, force
        self._remember(sample.stamp_ns, rate)

    def at(self, stamp_ns: int) -> ImuTilt:
        """The attitude at a stamp by the samples up to it."""
        index = bisect_right(self._stamps, stamp_ns) - 1
        if index < 0:
            return ImuTilt(problem=self._problem)
        elapsed_s = (stamp_ns - self._stamps[index]) / NANOSECONDS
        if elapsed_s > AHEAD_S:
            return ImuTilt(problem=f"the IMU's last sample is {elapsed_s:.1f} s older than the set")
        base_up, rate = self._history[index]
        up = Rotation.from_rotvec(-(rate - self._bias) * elapsed_s).apply(base_up)
        return self._judged(up, math.degrees(self._sigma))

    @property
    def _sigma(self) -> float:
        """Of roll and pitch; of the three angles that about the vertical is the least known."""
        return math.sqrt(max(0.0, float(np.linalg.eigvalsh(self._covariance[:3, :3])[1])))

    def _advance(
        self, elapsed_s: float, rate: NDArray[np.float64], force: NDArray[np.float64]
    ) -> None:
        if self._last is None:
            return
        mean_rate = (rate + self._last[1]) / 2.0 - self._bias
        turn = Rotation.from_rotvec(mean_rate * elapsed_s).as_matrix()
        mean_force = self._still_R_base @ (self._last[2] + turn @ force) / 2.0
        self._still_R_base = self._still_R_base @ turn
        self._window.add(elapsed_s, mean_force)

    def _judged(self, up: NDArray[np.float64], sigma_deg: float) -> ImuTilt:
        problem = self._problem
        if not problem and sigma_deg > KNOWN_DEG:
            problem = f"the IMU knows roll and pitch to {sigma_deg:.1f} degrees only" + (
                ""
                if self._knows_acceleration
                else "; without an ego pose to tell acceleration it must stand for 5 s"
            )
        bias = np.degrees(self._bias).tolist()
        level = None if problem else attitude_of(up)
        return ImuTilt(level, sigma_deg, tuple(bias), self._knows_acceleration, problem)

    def _remember(self, stamp_ns: int, rate: NDArray[np.float64]) -> None:
        self._stamps.append(stamp_ns)
        self._history.append((self._up @ self._still_R_base, rate))
        if self._stamps[0] < stamp_ns - 2 * KEPT_S * NANOSECONDS:
            kept = bisect_right(self._stamps, stamp_ns - int(KEPT_S * NANOSECONDS))
            del self._stamps[:kept], self._history[:kept]

    def _tick(self, stamp_ns: int, lever: NDArray[np.float64]) -> None:
        self._propagate(self._window.tick_s)
        level_T_base = attitude_of(self._up @ self._still_R_base)
        pose = self._positions(stamp_ns)
        place = None
        if pose is not None:
            heading = RigidTransform.from_euler(yaw=pose.yaw)
            place = pose.translation + (heading @ level_T_base).rotate(lever)
        found = self._window.close(place)
        if found is None:
            return
        base_force = found.force @ self._still_R_base
        self._knows_acceleration = found.acceleration is not None and pose is not None
        if found.acceleration is not None and pose is not None:
            heading = RigidTransform.from_euler(yaw=pose.yaw)
            base_force -= (heading @ level_T_base).inverse().rotate(found.acceleration)
        fault = self._fault(base_force)
        self._faults = self._faults + 1 if fault else 0
        self._calm_ticks = self._calm_ticks + 1 if found.spread < CALM else 0
        if fault:
            longest_s = FAULTY_S if self._knows_acceleration else BLIND_FAULTY_S
            if self._faults * TICK_S > longest_s:
                self._problem = fault
            return
        self._problem = ""
        if self._knows_acceleration:
            self._correct(base_force, _GRAVITY_SIGMA)
        elif self._calm_ticks >= CALM_TICKS and self._is_credible(base_force):
            self._correct(base_force, _CALM_SIGMA)

    def _propagate(self, elapsed_s: float) -> None:
        turn = self._tick_R_base.T @ self._still_R_base
        self._tick_R_base = self._still_R_base
        step = np.eye(6)
        step[:3, :3], step[:3, 3:] = turn.T, -np.eye(3) * elapsed_s
        noise = np.diag([_GYRO_NOISE**2 * elapsed_s] * 3 + [_BIAS_WALK**2 * elapsed_s] * 3)
        self._covariance = step @ self._covariance @ step.T + noise

    def _is_credible(self, gravity: NDArray[np.float64]) -> bool:
        """Whether it agrees with the gyroscope; an even acceleration is calm, too."""
        expected = self._up @ self._still_R_base
        angle = float(np.linalg.norm(gravity / GRAVITY - expected))
        return angle < min(max(2.0 * self._sigma, _DOUBT), _MOST_BLIND)

    def _fault(self, gravity: NDArray[np.float64]) -> str:
        """Why gravity (3,) in base_link cannot be right; empty where it can."""
        norm = float(np.linalg.norm(gravity))
        if abs(norm - GRAVITY) > NORM_TOLERANCE:
            return (
                f"its acceleration is {norm:.2f} m/s^2 long on average where gravity's is "
                f"{GRAVITY}{_advice(norm)}"
            )
        tilt_deg = math.degrees(math.acos(min(1.0, max(-1.0, float(gravity[2]) / norm))))
        if tilt_deg > STEEPEST_DEG:
            return (
                f"by gravity the vehicle is tilted by {tilt_deg:.0f} degrees: the IMU's frame in "
                f"TF is not the one it measures in"
            )
        return ""

    def _correct(self, gravity: NDArray[np.float64], sigma: float) -> None:
        """Takes gravity (3,) in base_link, known to an angle of sigma, into account."""
        measured = gravity / np.linalg.norm(gravity)
        expected = self._up @ self._still_R_base
        error = np.cross(measured, expected)
        doubt = float(np.linalg.norm(error)) / math.hypot(_DOUBT, self._sigma)
        noise = sigma**2 * (1.0 + doubt**2)
        sight = np.zeros((3, 6))
        sight[:, :3] = _cross_matrix(expected)
        gain = (
            self._covariance
            @ sight.T
            @ np.linalg.inv(sight @ self._covariance @ sight.T + noise * np.eye(3))
        )
        change = gain @ (measured - expected)
        self._covariance = (np.eye(6) - gain @ sight) @ self._covariance
        self._covariance = (self._covariance + self._covariance.T) / 2.0
        turned = Rotation.from_rotvec(-change[:3]).apply(expected)
        self._up = self._still_R_base @ turned
        self._bias = self._bias + change[3:]


def _advice(norm: float) -> str:
    if norm < 0.5:
        return "; the driver must not take gravity out, and must fill linear_acceleration"
    if abs(norm - 1.0) < 0.1:
        return "; the driver gives multiples of g in place of m/s^2"
    return "; is it calibrated, and is the ego pose without jumps?"


def _cross_matrix(v: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = v.tolist()
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
