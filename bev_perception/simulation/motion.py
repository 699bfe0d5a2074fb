# SPDX-License-Identifier: Apache-2.0
"""A drive's motion between its sets, with a body that nods, and the IMU that rides along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.imu import GRAVITY, ImuSample

NANOSECONDS = 1_000_000_000
SPRING_HZ, DAMPING = 1.4, 0.35
"""Of a passenger car's pitch on its springs."""
_STEP_S = 0.005
IMU_FRAME = "imu_link"
IMU_MOUNTING = RigidTransform.from_euler(0.0, 0.0, math.pi / 2.0, (1.2, 0.1, 0.5))
"""base_T_imu: under the seat, x to the left."""
SLOWEST_HZ = 5.0
"""Poses further apart than this do not tell what an IMU feels between them."""


@dataclass(frozen=True)
class ImuErrors:
    """What a real IMU adds, of a car's grade: all by default.

    Attributes:
        gyro_noise, force_noise: per sample, rad/s and m/s².
        gyro_bias, force_bias: (3,) constant, rad/s and m/s².
    """

    gyro_noise: float = math.radians(0.1)
    force_noise: float = 0.05
    gyro_bias: tuple[float, float, float] = (0.003, -0.002, 0.002)
    force_bias: tuple[float, float, float] = (0.015, -0.015, 0.02)


class DriveMotion:
    """Smooth motion through the poses of a drive over flat ground.

    Args:
        poses: (stamp_ns, map_T_base), level, at least SLOWEST_HZ.
        nod_deg: largest pitch of the body: it follows the drive's own braking and setting off
            as a spring does. 0 for a stiff one.

    Raises:
        ConfigurationError: fewer than four poses, or too far apart.
    """

    def __init__(self, poses: Sequence[tuple[int, RigidTransform]], nod_deg: float = 0.0) -> None:
        stamps_ns = np.array([stamp for stamp, _ in poses], dtype=np.int64)
        if len(poses) < 4 or np.diff(stamps_ns).max() > NANOSECONDS / SLOWEST_HZ * 1.01:
            raise ConfigurationError(
                f"an IMU needs a drive of at least 4 sets with {SLOWEST_HZ:g} sets per second or "
                f"more to know the motion between them; got {len(poses)} sets"
            )
        self.stamps_ns = (int(stamps_ns[0]), int(stamps_ns[-1]))
        times = (stamps_ns - stamps_ns[0]) / NANOSECONDS
        places = np.stack([pose.translation for _, pose in poses])
        self._place = CubicSpline(times, places)
        self._yaw = CubicSpline(times, np.unwrap([pose.yaw for _, pose in poses]))
        grid = np.arange(0.0, times[-1] + _STEP_S, _STEP_S)
        self._pitch = CubicSpline(grid, self._nods(grid, nod_deg))

    def pose(self, stamp_ns: int) -> RigidTransform:
        """map_T_base with the body's pitch."""
        time = self._time(stamp_ns)
        return RigidTransform.from_euler(
            0.0, float(self._pitch(time)), float(self._yaw(time)), self._place(time)
        )

    def sample(self, stamp_ns: int, base_T_imu: RigidTransform = IMU_MOUNTING) -> ImuSample:
        """What an IMU without errors says at a stamp."""
        time, step = self._time(stamp_ns), 1e-3
        pose = self.pose(stamp_ns)
        yaw_rate, pitch_rate = float(self._yaw(time, 1)), float(self._pitch(time, 1))
        pitch = float(self._pitch(time))
        rate = np.array([-yaw_rate * math.sin(pitch), pitch_rate, yaw_rate * math.cos(pitch)])
        lever = [
            self.pose(stamp_ns + round(k * step * NANOSECONDS)).rotate(base_T_imu.translation)
            for k in (-1, 0, 1)
        ]
        swing = (lever[0] - 2.0 * lever[1] + lever[2]) / step**2
        force = self._place(time, 2) + swing + np.array([0.0, 0.0, GRAVITY])
        turn = base_T_imu.rotation.T
        return ImuSample(stamp_ns, IMU_FRAME, turn @ rate, turn @ (pose.rotation.T @ force))

    def _time(self, stamp_ns: int) -> float:
        return (stamp_ns - self.stamps_ns[0]) / NANOSECONDS

    def _nods(self, grid: NDArray[np.float64], nod_deg: float) -> NDArray[np.float64]:
        """A damped spring driven by the acceleration along the vehicle; positive looks down."""
        heading = self._yaw(grid)
        change = self._place(grid, 2)
        along = change[:, 0] * np.cos(heading) + change[:, 1] * np.sin(heading)
        pitch, rate, stiffness = 0.0, 0.0, (2.0 * math.pi * SPRING_HZ) ** 2
        nods = np.zeros(len(grid))
        for index, acceleration in enumerate(along.tolist()):
            nods[index] = pitch
            drag = 2.0 * DAMPING * math.sqrt(stiffness) * rate
            rate += (stiffness * (-acceleration - pitch) - drag) * _STEP_S
            pitch += rate * _STEP_S
        largest = float(np.abs(nods).max())
        return nods * (math.radians(nod_deg) / largest) if largest > 0.0 else nods


def imu_samples(
    motion: DriveMotion,
    base_T_imu: RigidTransform = IMU_MOUNTING,
    rate_hz: float = 100.0,
    errors: ImuErrors | None = None,
    seed: int = 0,
) -> list[ImuSample]:
    """All samples of a drive.

    Args:
        motion: of the vehicle.
        base_T_imu: mounting.
        rate_hz: samples per second.
        errors: default a car's IMU.
        seed: of the noise.
    """
    errors = errors or ImuErrors()
    rng = np.random.default_rng((seed, 31))
    first_ns, last_ns = motion.stamps_ns
    count = int((last_ns - first_ns) / NANOSECONDS * rate_hz) + 1
    samples = []
    for index in range(count):
        stamp_ns = first_ns + round(index / rate_hz * NANOSECONDS)
        true = motion.sample(stamp_ns, base_T_imu)
        rate = true.angular_velocity + errors.gyro_bias + rng.normal(0, errors.gyro_noise, 3)
        force = true.specific_force + errors.force_bias + rng.normal(0, errors.force_noise, 3)
        samples.append(ImuSample(stamp_ns, IMU_FRAME, rate, force))
    return samples
