# SPDX-License-Identifier: Apache-2.0
"""Estimates by how much a camera sits otherwise than its calibration says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.geometry_evidence import Evidence
from bev_perception.doctor.geometry_residuals import (
    Error,
    Residuals,
    corrected,
    kerb_choice,
    residuals,
)
from bev_perception.geometry import RigCamera

Vector = NDArray[np.float64]

_SCALES = (0.25, 0.5, 0.5)
"""Of vertical (degrees), epipolar and ground (pixels) residuals that noise alone leaves."""

_PRIOR = np.array([*np.radians([5.0, 5.0, 5.0]), 0.5, 0.1, 0.1])
"""Standard deviations before anything is seen: what nothing shows stays at 0, unsure."""

_FLOOR = np.array([*np.radians([0.1, 0.1, 0.1]), 0.02, 0.01, 0.02])
"""Of the standard deviations told: models of lenses, roads and motion are no better."""

_STEP = 1e-4
_WIDE_VERTICAL = 4.0
_ANGLES = np.radians(np.arange(-7.0, 7.01, 0.5))
_HEIGHTS_M = np.arange(-0.6, 0.601, 0.04)
_KERBS_M = np.arange(0.06, 0.241, 0.03)
_KERB_SHARE = 0.2
_MIN_VERTICALS = 12
_MIN_GROUND = 12
_FOCAL_GAIN, _SMALL_FOCAL_GAIN = 8.0, 25.0
_LARGE_FOCAL = 0.08
_FOCAL_SURE = 0.03

_ATTITUDE = (Error.YAW, Error.PITCH, Error.ROLL)


@dataclass(frozen=True, eq=False)
class MountingEstimate:
    """The error of one calibration.

    Attributes:
        error: (6,) see Error: what the camera really is, beyond the calibration.
        sigma: (6,) standard deviations of it; large where nothing was seen.
        verticals, corners, ground: how many vertical edges, corners and ground tiles agree.
    """

    error: Vector
    sigma: Vector
    verticals: int
    corners: int
    ground: int


def estimate_mounting(seen: Sequence[Evidence], entry: RigCamera) -> MountingEstimate:
    """Fits yaw, pitch, roll, height and focal length to all evidence of a camera.

    Coarse places are voted for (verticals, then ground), because wrong starts lead
    astray; iteratively reweighted least squares with the weights of Geman and McClure,
    from wide to narrow, does the rest. Standard deviations take the moments as independent,
    but not what is seen within one (sandwich estimate). The focal length is let go only where
    that explains clearly more.

    Args:
        seen: evidence of several moments.
        entry: calibration in the size of the images looked at.
    """
    error = np.zeros(len(Error))
    voted = _vote_attitude(seen, entry)
    if voted is not None:
        error[[Error.PITCH, Error.ROLL]] = voted
    error, _ = _solve(seen, entry, error, _ATTITUDE, (16.0, 8.0, 4.0, 2.0, 1.0), ground=False)
    error[Error.HEIGHT], error[Error.KERB] = _vote_height(seen, entry, error)
    free = [*_ATTITUDE, Error.HEIGHT] + ([Error.KERB] if error[Error.KERB] else [])
    error, sigma = _solve(seen, entry, error, free, (4.0, 2.0, 1.0, 1.0, 1.0))
    other, wide = _solve(seen, entry, error, [*free, Error.FOCAL], (4.0, 2.0, 1.0, 1.0, 1.0))
    gain = _cost(seen, entry, error) - _cost(seen, entry, other)
    ratio = abs(math.exp(other[Error.FOCAL]) - 1.0)
    needed = _FOCAL_GAIN if ratio > _LARGE_FOCAL else _SMALL_FOCAL_GAIN
    if gain > needed and wide[Error.FOCAL] < _FOCAL_SURE:
        error, sigma = other, wide
    else:
        sigma[Error.FOCAL] = wide[Error.FOCAL]
    every = [residuals(each, entry, error) for each in seen]
    return MountingEstimate(
        error,
        np.hypot(sigma, _FLOOR),
        sum(int((abs(each.vertical) < 1.0).sum()) for each in every),
        sum(int((abs(each.epipolar) < 2.0).sum()) for each in every),
        sum(int((np.linalg.norm(each.ground, axis=1) < 2.0).sum()) for each in every),
    )


def _vote_attitude(seen: Sequence[Evidence], entry: RigCamera) -> tuple[float, float] | None:
    """Pitch and roll that make most edges vertical."""
    planes = np.concatenate([each.verticals for each in seen])
    ups = np.concatenate([np.tile(each.up_base, (len(each.verticals), 1)) for each in seen])
    best, found = 0.0, None
    for pitch in _ANGLES:
        for roll in _ANGLES:
            turned = corrected(entry.base_T_camera, np.array([0.0, pitch, roll, 0.0, 0.0, 0.0]))
            off = np.degrees((planes * (ups @ turned.rotation)).sum(axis=1))
            votes = float(np.exp(-0.5 * (off / 0.5) ** 2).sum())
            if votes > best:
                best, found = votes, (float(pitch), float(roll))
    return found if best >= _MIN_VERTICALS else None


def _vote_height(seen: Sequence[Evidence], entry: RigCamera, error: Vector) -> tuple[float, float]:
    """Height of the camera above most ground, and of a second level above that, or 0."""

    def votes(height: float) -> Vector:
        tried = error.copy()
        tried[Error.HEIGHT], tried[Error.KERB] = height, 0.0
        off = np.concatenate([residuals(each, entry, tried).ground for each in seen])
        return np.exp(-0.125 * (off**2).sum(axis=1))

    if sum(len(each.ground.first) for each in seen) < _MIN_GROUND:
        return 0.0, 0.0
    curve = np.array([votes(height).sum() for height in _HEIGHTS_M])
    height = float(_HEIGHTS_M[curve.argmax()])
    main = votes(height)
    best, found = _KERB_SHARE * len(main), (height, 0.0)
    for kerb in _KERBS_M:
        for low in (height, height + kerb):  # the main level is the road, or the pavement
            other = low - kerb if low == height else low
            gained = float(np.maximum(votes(other) - main, 0.0).sum())
            if gained > best:
                best, found = gained, (low, float(kerb))
    return found


def _solve(
    seen: Sequence[Evidence],
    entry: RigCamera,
    start: Vector,
    free: Sequence[int],
    widths: Sequence[float],
    ground: bool = True,
) -> tuple[Vector, Vector]:
    """Error and its standard deviations after one step for each width."""
    error, chosen = start.copy(), list(free)
    sources = (True, True, ground)
    normal = np.diag(1.0 / _PRIOR[chosen] ** 2)
    pulls = np.zeros((len(seen), len(chosen)))
    for width in widths:
        normal = np.diag(1.0 / _PRIOR[chosen] ** 2)
        for index, each in enumerate(seen):
            own, pulls[index] = _equations(each, entry, error, chosen, width, sources)
            normal += own
        total = pulls.sum(axis=0) - error[chosen] / _PRIOR[chosen] ** 2
        error[chosen] += np.linalg.solve(normal, total)
    inverse = np.linalg.inv(normal)
    spread = pulls - pulls.mean(axis=0)
    covariance = inverse @ (spread.T @ spread) @ inverse + inverse
    sigma = _PRIOR.copy()
    sigma[chosen] = np.sqrt(np.diag(covariance))
    return error, sigma


def _equations(
    seen: Evidence,
    entry: RigCamera,
    error: Vector,
    free: Sequence[int],
    width: float,
    sources: Sequence[bool],
) -> tuple[Vector, Vector]:
    """Normal matrix and right side of one moment."""
    on_kerb = kerb_choice(seen, entry, error)
    now = residuals(seen, entry, error, on_kerb)
    slopes = []
    for place in free:
        moved = error.copy()
        moved[place] += _STEP
        slopes.append(residuals(seen, entry, moved, on_kerb))
    normal, pull = np.zeros((len(free), len(free))), np.zeros(len(free))
    for source, used in enumerate(sources):
        value = now[source].ravel()
        if not used or not len(value):
            continue
        scale = _SCALES[source] * (min(width, _WIDE_VERTICAL) if source == 0 else width)
        jacobian = np.stack([(s[source].ravel() - value) / _STEP for s in slopes], axis=1)
        weight = (1.0 + (value / scale) ** 2) ** -2 / _SCALES[source] ** 2
        weighted = jacobian * weight[:, None]
        normal += weighted.T @ jacobian
        pull -= weighted.T @ value
    return normal, pull


def _cost(seen: Sequence[Evidence], entry: RigCamera, error: Vector) -> float:
    def of(each: Residuals) -> float:
        squares = [(each[i].ravel() / scale) ** 2 for i, scale in enumerate(_SCALES)]
        return float(sum((square / (1.0 + square)).sum() for square in squares))

    return sum(of(residuals(each, entry, error)) for each in seen)
