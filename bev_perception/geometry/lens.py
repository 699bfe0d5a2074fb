# SPDX-License-Identifier: Apache-2.0
"""Lens distortion of points on the plane z = 1, forwards and backwards.

The models are those of OpenCV's calibration, which sensor_msgs/CameraInfo names
``plumb_bob``, ``rational_polynomial`` and ``equidistant`` (Kannala and Brandt 2006). Their
polynomials are only one-to-one up to the radius at which they stop growing; what lies
beyond is refused instead of being folded back into the image.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NEWTON_STEPS = 8
_TABLE_SIZE = 2048
_TOLERANCE = 1e-9
"""Largest residual on the plane z = 1 with which an inverse counts as found."""


class Lens(Protocol):
    """A lens model; points are (n, 2) on the plane z = 1 of the optical frame."""

    def distort(self, points: Array) -> Array:
        """Where ideal points appear, (n, 2)."""
        ...

    def undistort(self, points: Array) -> Array:
        """Ideal points of apparent ones, (n, 2); NaN where there is none."""
        ...

    def is_one_to_one(self, points: Array) -> NDArray[np.bool_]:
        """Whether ideal points (n,) lie before the model folds back."""
        ...


def make_lens(model: str, coefficients: tuple[float, ...]) -> Lens | None:
    """The lens of a CameraInfo distortion model; None when it bends nothing."""
    if model == "equidistant":
        return EquidistantLens(coefficients)
    return PolynomialLens(coefficients) if any(coefficients) else None


class PolynomialLens:
    """Rational radial polynomial with tangential terms; plumb_bob is its denominator 1.

    With s = x^2 + y^2 and g = (1 + k1 s + k2 s^2 + k3 s^3) / (1 + k4 s + k5 s^2 + k6 s^3):
    x' = x g + 2 p1 x y + p2 (s + 2 x^2), y' = y g + p1 (s + 2 y^2) + 2 p2 x y.

    Args:
        coefficients: k1, k2, p1, p2 [, k3 [, k4, k5, k6]].
    """

    def __init__(self, coefficients: tuple[float, ...]) -> None:
        k1, k2, self._p1, self._p2, k3, k4, k5, k6 = (*coefficients, *[0.0] * 8)[:8]
        self._numerator = Polynomial([1.0, k1, k2, k3])
        self._denominator = Polynomial([1.0, k4, k5, k6])
        self._slope = (
            self._numerator.deriv() * self._denominator
            - self._numerator * self._denominator.deriv()
        )
        s = Polynomial([0.0, 1.0])
        growth = self._numerator * self._denominator + 2.0 * s * self._slope
        self._max_radius = np.sqrt(
            min(_smallest_positive_root(growth), _smallest_positive_root(self._denominator))
        )

    def distort(self, points: Array) -> Array:
        x, y = points[:, 0], points[:, 1]
        s = x * x + y * y
        gain = self._gain(s)
        shift_x = 2 * self._p1 * x * y + self._p2 * (s + 2 * x * x)
        shift_y = self._p1 * (s + 2 * y * y) + 2 * self._p2 * x * y
        return np.stack([x * gain + shift_x, y * gain + shift_y], axis=-1)

    def is_one_to_one(self, points: Array) -> NDArray[np.bool_]:
        return np.hypot(points[:, 0], points[:, 1]) < self._max_radius

    def undistort(self, points: Array) -> Array:
        """Newton's method in two dimensions from the inverse of the radial part."""
        ideal = self._undistort_radially(points)
        with np.errstate(all="ignore"):
            for _ in range(_NEWTON_STEPS):
                residual = self.distort(ideal) - points
                step = _solve_symmetric(self._jacobian(ideal), residual)
                ideal = ideal - np.where((residual != 0.0).any(axis=1, keepdims=True), step, 0.0)
            error = np.abs(self.distort(ideal) - points).max(axis=1, keepdims=True)
        found = (error < _TOLERANCE) & self.is_one_to_one(ideal)[:, None]
        return np.where(found, ideal, np.nan)

    def _gain(self, s: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._numerator(s) / self._denominator(s)

    def _undistort_radially(self, points: Array) -> Array:
        widest = min(np.arctan(self._max_radius), np.radians(89.9))
        radii = np.tan(np.linspace(0.0, widest, _TABLE_SIZE))
        apparent = np.hypot(points[:, 0], points[:, 1])
        ideal = np.interp(apparent, radii * self._gain(radii**2), radii)
        with np.errstate(invalid="ignore", divide="ignore"):
            return points * np.where(apparent > 0, ideal / apparent, 1.0)[:, None]

    def _jacobian(self, points: Array) -> tuple[Array, Array, Array]:
        """d x'/dx, d x'/dy = d y'/dx and d y'/dy, each (n,)."""
        x, y = points[:, 0], points[:, 1]
        s = x * x + y * y
        gain, slope = self._gain(s), self._slope(s) / self._denominator(s) ** 2
        xx = gain + 2 * x * x * slope + 2 * self._p1 * y + 6 * self._p2 * x
        xy = 2 * x * y * slope + 2 * self._p1 * x + 2 * self._p2 * y
        yy = gain + 2 * y * y * slope + 6 * self._p1 * y + 2 * self._p2 * x
        return xx, xy, yy


class EquidistantLens:
    """Fisheye: the apparent radius is a polynomial of the angle to the optical axis.

    With a = atan(r): r' = a (1 + k1 a^2 + k2 a^4 + k3 a^6 + k4 a^8). Points of the plane
    z = 1 lie in front of the camera, so angles stay below 90 degrees.

    Args:
        coefficients: k1, k2, k3, k4.
    """

    def __init__(self, coefficients: tuple[float, ...]) -> None:
        k1, k2, k3, k4 = coefficients
        self._radius = Polynomial([0.0, 1.0, 0.0, k1, 0.0, k2, 0.0, k3, 0.0, k4])
        self._growth = self._radius.deriv()
        squared = Polynomial([1.0, 3 * k1, 5 * k2, 7 * k3, 9 * k4])
        self._max_angle = min(np.sqrt(_smallest_positive_root(squared)), np.pi / 2)

    def distort(self, points: Array) -> Array:
        radius = np.hypot(points[:, 0], points[:, 1])
        apparent = self._radius(np.arctan(radius))
        with np.errstate(invalid="ignore", divide="ignore"):
            return points * np.where(radius > 0, apparent / radius, 1.0)[:, None]

    def is_one_to_one(self, points: Array) -> NDArray[np.bool_]:
        return np.arctan(np.hypot(points[:, 0], points[:, 1])) < self._max_angle

    def undistort(self, points: Array) -> Array:
        """Newton's method in the angle, from a table of the model."""
        angles = np.linspace(0.0, self._max_angle, _TABLE_SIZE)
        apparent = np.hypot(points[:, 0], points[:, 1])
        angle = np.interp(apparent, self._radius(angles), angles)
        with np.errstate(invalid="ignore", divide="ignore"):
            for _ in range(_NEWTON_STEPS):
                residual = self._radius(angle) - apparent
                step = np.where(residual != 0.0, residual / self._growth(angle), 0.0)
                angle = np.clip(angle - step, 0.0, self._max_angle)
            found = np.abs(self._radius(angle) - apparent) < _TOLERANCE
            found &= angle < self._max_angle
            scale = np.where(apparent > 0, np.tan(angle) / apparent, 1.0)
        return np.where(found[:, None], points * scale[:, None], np.nan)


def _smallest_positive_root(polynomial: Polynomial) -> float:
    """Of a polynomial that is 1 at 0; infinity when there is none.

    Solved for the reciprocal, whose leading coefficient is that 1, so that coefficients of
    any size are safe to divide by.
    """
    roots = Polynomial(polynomial.coef[::-1]).roots()
    real = roots.real[np.abs(roots.imag) <= 1e-9 * np.abs(roots)]
    largest = real.max(initial=0.0)
    return 1.0 / float(largest) if largest > 1e-12 else np.inf


def _solve_symmetric(matrix: tuple[Array, Array, Array], values: Array) -> Array:
    """(n, 2) solutions of n symmetric 2x2 systems."""
    xx, xy, yy = matrix
    determinant = xx * yy - xy * xy
    x = (yy * values[:, 0] - xy * values[:, 1]) / determinant
    y = (xx * values[:, 1] - xy * values[:, 0]) / determinant
    return np.stack([x, y], axis=-1)
