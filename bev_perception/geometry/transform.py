# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms, named ``a_T_b``: they take points expressed in frame b to frame a."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from bev_perception.errors import TransformError

ORTHONORMALITY_TOLERANCE = 1e-4
ROUNDING_TOLERANCE = 1e-12
QUATERNION_NORM_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """A rotation followed by a translation: ``p_a = rotation @ p_b + translation``.

    Equal when every value is; see is_close for a tolerance.

    Attributes:
        rotation: (3, 3) float64, orthonormal, determinant +1; a matrix rounded to single
            precision is replaced by the nearest rotation, so that errors do not add up.
        translation: (3,) float64, metres; the origin of b expressed in a.

    Raises:
        TransformError: a value is not finite or the rotation is not a rotation.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def __post_init__(self) -> None:
        rotation = np.array(self.rotation, dtype=np.float64)
        translation = np.array(self.translation, dtype=np.float64)
        if rotation.shape != (3, 3) or translation.shape != (3,):
            raise TransformError(
                f"a rigid transform needs a 3x3 rotation and 3 translations, "
                f"got shapes {rotation.shape} and {translation.shape}"
            )
        rows = rotation.tolist()
        if not all(map(math.isfinite, (*rows[0], *rows[1], *rows[2], *translation.tolist()))):
            raise TransformError(
                f"transform holds values that are not finite: rotation {rotation.tolist()}, "
                f"translation {translation.tolist()}"
            )
        deviation, determinant = _deviation(*rows), _determinant(*rows)
        if deviation > ORTHONORMALITY_TOLERANCE or determinant < 0:
            raise TransformError(
                f"not a rotation (deviation from orthonormal {deviation:.2g}, determinant "
                f"{determinant:+.3f}): {rows}; a determinant of -1 "
                f"is a mirrored (left-handed) matrix"
            )
        if deviation > ROUNDING_TOLERANCE:
            left, _, right = np.linalg.svd(rotation)
            rotation = left @ right
        rotation.setflags(write=False)
        translation.setflags(write=False)
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation", translation)

    @classmethod
    def identity(cls) -> RigidTransform:
        """The transform that changes nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_matrix(cls, matrix: ArrayLike) -> RigidTransform:
        """From a homogeneous (4, 4) matrix whose last row is 0, 0, 0, 1."""
        values = np.asarray(matrix, dtype=np.float64)
        if values.shape != (4, 4) or not _is_homogeneous_row(*values[3].tolist()):
            raise TransformError(f"not a homogeneous 4x4 matrix: {values.tolist()}")
        return cls(values[:3, :3], values[:3, 3])

    @classmethod
    def from_quaternion(
        cls, quaternion_xyzw: ArrayLike, translation: ArrayLike = (0.0, 0.0, 0.0)
    ) -> RigidTransform:
        """From a unit quaternion in ROS order (x, y, z, w) and a translation in metres."""
        quaternion = np.asarray(quaternion_xyzw, dtype=np.float64)
        norm = float(np.linalg.norm(quaternion)) if quaternion.shape == (4,) else float("nan")
        if not abs(norm - 1.0) <= QUATERNION_NORM_TOLERANCE:
            raise TransformError(
                f"quaternion (x, y, z, w) = {quaternion.tolist()} has norm {norm:.4g}, expected 1; "
                f"all zeros usually means that the sender never filled it"
            )
        return cls(Rotation.from_quat(quaternion).as_matrix(), np.asarray(translation))

    @classmethod
    def from_euler(
        cls,
        roll: float = 0.0,
        pitch: float = 0.0,
        yaw: float = 0.0,
        translation: ArrayLike = (0.0, 0.0, 0.0),
    ) -> RigidTransform:
        """From fixed-axis roll, pitch, yaw in radians (REP-103): Rz(yaw) Ry(pitch) Rx(roll).

        With z up, a positive pitch turns the x axis downwards.
        """
        rotation = Rotation.from_euler("xyz", (roll, pitch, yaw)).as_matrix()
        return cls(rotation, np.asarray(translation))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Homogeneous (4, 4) float64 matrix."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation
        matrix[:3, 3] = self.translation
        return matrix

    @property
    def quaternion(self) -> NDArray[np.float64]:
        """Unit quaternion (4,) in ROS order x, y, z, w, with w >= 0."""
        return np.array(_quaternion(*self.rotation.tolist()))

    @property
    def euler(self) -> NDArray[np.float64]:
        """Fixed-axis roll, pitch, yaw (3,) in radians, pitch in [-pi/2, pi/2].

        Straight up or down, where roll and yaw turn about the same axis, both are still
        such that from_euler gives the rotation back.
        """
        matrix = self.rotation
        yaw = self.yaw
        sin, cos = np.sin(yaw), np.cos(yaw)
        pitch = np.arctan2(-matrix[2, 0], np.hypot(matrix[0, 0], matrix[1, 0]))
        roll = np.arctan2(
            sin * matrix[0, 2] - cos * matrix[1, 2], cos * matrix[1, 1] - sin * matrix[0, 1]
        )
        return np.array([roll, pitch, yaw])

    @property
    def yaw(self) -> float:
        """Heading of b's x axis in a's xy plane, radians in [-pi, pi]."""
        return float(np.arctan2(self.rotation[1, 0], self.rotation[0, 0]))

    def __matmul__(self, other: RigidTransform) -> RigidTransform:
        """Chain: ``a_T_b @ b_T_c`` is ``a_T_c``."""
        return RigidTransform(
            self.rotation @ other.rotation, self.rotation @ other.translation + self.translation
        )

    def inverse(self) -> RigidTransform:
        """``b_T_a`` of ``a_T_b``."""
        return RigidTransform(self.rotation.T, -self.rotation.T @ self.translation)

    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) in b, metres, to points (..., 3) in a."""
        return np.asarray(points, dtype=np.float64) @ self.rotation.T + self.translation

    def apply_columns(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """apply for points (3, n), one in each column: quicker where n is large."""
        return self.rotation @ points + self.translation[:, None]

    def rotate(self, vectors: ArrayLike) -> NDArray[np.float64]:
        """Free vectors (..., 3), such as velocities, from b to a: no translation."""
        return np.asarray(vectors, dtype=np.float64) @ self.rotation.T

    def interpolate(self, other: RigidTransform, fraction: float) -> RigidTransform:
        """Between self (0) and other (1): linear in translation, slerp in rotation."""
        relative = Rotation.from_matrix(self.rotation.T @ other.rotation).as_rotvec()
        rotation = self.rotation @ Rotation.from_rotvec(fraction * relative).as_matrix()
        translation = (1.0 - fraction) * self.translation + fraction * other.translation
        return RigidTransform(rotation, translation)

    def angle_to(self, other: RigidTransform) -> float:
        """Angle in radians of the rotation between the two orientations."""
        return float(Rotation.from_matrix(self.rotation.T @ other.rotation).magnitude())

    def is_close(self, other: RigidTransform, metres: float = 1e-6, radians: float = 1e-6) -> bool:
        """Whether both differ by at most the given distance and angle."""
        distance = float(np.linalg.norm(self.translation - other.translation))
        return distance <= metres and self.angle_to(other) <= radians

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RigidTransform):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[float, ...]:
        return (*self.rotation.ravel().tolist(), *self.translation.tolist())


def quaternions(transforms: Sequence[RigidTransform]) -> NDArray[np.float64]:
    """(N, 4) of RigidTransform.quaternion."""
    values = [_quaternion(*each.rotation.tolist()) for each in transforms]
    return np.array(values, dtype=np.float64).reshape(-1, 4)


def _quaternion(
    a: Sequence[float], b: Sequence[float], c: Sequence[float]
) -> tuple[float, float, float, float]:
    """x, y, z, w of a rotation's rows, w >= 0.

    Each of the four squares is a sum over the diagonal; the largest loses no digits and
    divides the others (Shepperd 1978).
    """
    squares = 1.0 + a[0] - b[1] - c[2], 1.0 - a[0] + b[1] - c[2], 1.0 - a[0] - b[1] + c[2]
    real = 1.0 + a[0] + b[1] + c[2]
    if real >= max(squares):
        x, y, z, w = c[1] - b[2], a[2] - c[0], b[0] - a[1], real
    elif squares[0] == max(squares):
        x, y, z, w = squares[0], a[1] + b[0], a[2] + c[0], c[1] - b[2]
    elif squares[1] == max(squares):
        x, y, z, w = a[1] + b[0], squares[1], b[2] + c[1], a[2] - c[0]
    else:
        x, y, z, w = a[2] + c[0], b[2] + c[1], squares[2], b[0] - a[1]
    scale = math.copysign(1.0 / math.sqrt(x * x + y * y + z * z + w * w), w)
    return x * scale, y * scale, z * scale, w * scale


def _is_homogeneous_row(a: float, b: float, c: float, d: float) -> bool:
    """Whether it is 0, 0, 0, 1 within the tolerances of np.allclose, in a fraction of its time."""
    return all(abs(value) <= 1e-8 for value in (a, b, c)) and abs(d - 1.0) <= 1e-5 + 1e-8


def _deviation(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> float:
    """Largest difference between the rows' scalar products and those of unit axes.

    Plain floats: on nine numbers they are several times faster than NumPy.
    """
    a_x, a_y, a_z = a
    b_x, b_y, b_z = b
    c_x, c_y, c_z = c
    return max(
        abs(a_x * a_x + a_y * a_y + a_z * a_z - 1.0),
        abs(b_x * b_x + b_y * b_y + b_z * b_z - 1.0),
        abs(c_x * c_x + c_y * c_y + c_z * c_z - 1.0),
        abs(a_x * b_x + a_y * b_y + a_z * b_z),
        abs(a_x * c_x + a_y * c_y + a_z * c_z),
        abs(b_x * c_x + b_y * c_y + b_z * c_z),
    )


def _determinant(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> float:
    return (
        a[0] * (b[1] * c[2] - b[2] * c[1])
        - a[1] * (b[0] * c[2] - b[2] * c[0])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
    )
