# SPDX-License-Identifier: Apache-2.0
"""Roll, pitch and height that explain vertical edges and heights of the ground best.

Unknown are the small roll, pitch and lift that take the rig as told to the rig as it is, and
slope and camber of the road. Every nearly vertical edge says that its plane's normal n must be
level: (R n) . up = 0. Every tile of ground says how high it lies. Both have outliers (gables,
slanted trunks, kerbs, other vehicles), so a coarse vote over the whole range is followed by
iteratively reweighted least squares with Tukey's biweight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import RigidTransform

RANGE_DEG = 5.0
"""Largest roll and pitch that are looked for."""
_STEP_DEG = 0.5
_VOTE_DEG = 1.0
_FULL_VOTE = 10.0 / math.radians(0.5) ** 2
"""Information of so many good edges gives a camera half of its vote."""
_ITERATIONS = 10
_FIRST_CUT_DEG, _LAST_CUT_DEG = 1.5, 0.7
_FIRST_CUT_M, _LAST_CUT_M = 0.20, 0.08
_DIRECTION_ERROR = math.radians(0.15)
"""Sidewards error of an edge's end, radians: half a pixel of usual cameras."""
_SMALLEST_EDGE_SIGMA = math.radians(0.25)
"""Vertical things are vertical to about this."""
_INFLATION = 1.2
"""Of variances: neighbouring edges and tiles do not err independently."""
_SLOPE_SIGMA, _CAMBER_SIGMA = math.radians(0.5), math.radians(1.5)
"""Roads climb and are arched; tiles that lie near the middle tell little of roll."""


@dataclass(frozen=True)
class Edges:
    """Nearly vertical edges of several images.

    Attributes:
        normals: (N, 3) in base_link as told, see segments.Segments.
        lengths: (N,) radians.
        ups: (N, 3) where the ego pose, where there is one, says that up is, in base_link.
        cameras: (N,) index of the camera.
        shares: (N,) in 0 to 1, what is left of the weight with age.
    """

    normals: NDArray[np.float64]
    lengths: NDArray[np.float64]
    ups: NDArray[np.float64]
    cameras: NDArray[np.int_]
    shares: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def information(self) -> NDArray[np.float64]:
        """(N,) 1 / radians^2."""
        sigma = np.maximum(_DIRECTION_ERROR / np.maximum(self.lengths, 1e-4), _SMALLEST_EDGE_SIGMA)
        return self.shares / sigma**2

    def chosen(self, which: NDArray[np.bool_]) -> Edges:
        """Those marked in (N,)."""
        return Edges(
            self.normals[which],
            self.lengths[which],
            self.ups[which],
            self.cameras[which],
            self.shares[which],
        )

    @staticmethod
    def joined(parts: Sequence[Edges]) -> Edges:
        """All edges of several; none of none."""
        if not parts:
            empty = np.zeros((0, 3))
            return Edges(empty, np.zeros(0), empty, np.zeros(0, dtype=int), np.zeros(0))
        return Edges(
            np.concatenate([part.normals for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.ups for part in parts]),
            np.concatenate([part.cameras for part in parts]),
            np.concatenate([part.shares for part in parts]),
        )


@dataclass(frozen=True)
class GroundRows:
    """Linear equations of tiles: heights + coefficients @ state = 0, see Fit.state.

    Attributes:
        heights_m: (M,) of the ground, with the rig as told.
        coefficients: (M, 5).
        information: (M,) 1 / m^2, with age.
    """

    heights_m: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    information: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.heights_m)

    @staticmethod
    def joined(parts: Sequence[GroundRows]) -> GroundRows:
        """All rows of several; none of none."""
        if not parts:
            return GroundRows(np.zeros(0), np.zeros((0, 5)), np.zeros(0))
        return GroundRows(
            np.concatenate([part.heights_m for part in parts]),
            np.concatenate([part.coefficients for part in parts]),
            np.concatenate([part.information for part in parts]),
        )


@dataclass(frozen=True)
class Fit:
    """The best explanation.

    Attributes:
        state: (5,) roll, pitch (radians), height (metres), slope and camber of the road (radians).
        covariance: (5, 5).
        num_edges, num_tiles: that agree with it.
    """

    state: NDArray[np.float64]
    covariance: NDArray[np.float64]
    num_edges: int
    num_tiles: int


def voted_tilt(edges: Edges) -> NDArray[np.float64] | None:
    """Roll and pitch (2,), radians, that most edges of most cameras agree to, on a grid.

    Every camera that sees enough has one vote: a slipped one that sees a facade must not outvote
    the others.

    None when another tilt, clearly different, has almost as many votes.
    """
    if len(edges) < 3:
        return None
    offset, slopes = _linearized(edges, np.zeros(2))
    scale = np.float32(1.0 / math.radians(_VOTE_DEG))
    kept = (slopes.astype(np.float32) * scale) @ _GRID.T.astype(np.float32)  # (N, G)
    kept += (offset.astype(np.float32) * scale)[:, None]
    np.square(kept, out=kept)
    np.subtract(1.0, kept, out=kept)
    np.maximum(kept, 0.0, out=kept)
    score = np.zeros(len(_GRID))
    weight = edges.information.astype(np.float32)
    for camera in np.unique(edges.cameras):
        own = edges.cameras == camera
        votes = weight[own] @ kept[own]
        score += votes / (votes.max() + _FULL_VOTE)
    best = int(np.argmax(score))
    far = np.abs(_GRID - _GRID[best]).max(axis=1) > math.radians(2.0)
    return None if score[far].max() > 0.85 * score[best] else _GRID[best]


def fit(
    edges: Edges,
    ground: GroundRows,
    start: NDArray[np.float64],
    prior: NDArray[np.float64],
    prior_sigma: NDArray[np.float64],
) -> Fit:
    """Robust least squares of all evidence.

    Args:
        edges, ground: the evidence.
        start: (2,) roll and pitch to begin at, radians; see voted_tilt.
        prior: (3,) roll, pitch, height that hold where there is no evidence.
        prior_sigma: (3,) how well they are known.
    """
    expected = np.array([*prior, 0.0, 0.0])
    prior_information = np.array([*prior_sigma, _SLOPE_SIGMA, _CAMBER_SIGMA]) ** -2
    state = np.array([*start, prior[2], 0.0, 0.0])
    edge_information = edges.information / _INFLATION
    ground_information = ground.information / _INFLATION
    matrix = np.diag(prior_information)
    edge_weight, ground_weight = np.zeros(len(edges)), np.zeros(len(ground))
    for step in range(_ITERATIONS):
        share = step / (_ITERATIONS - 1)
        offset, slopes = _linearized(edges, state[:2])
        cut = math.radians(_FIRST_CUT_DEG + share * (_LAST_CUT_DEG - _FIRST_CUT_DEG))
        edge_weight = edge_information * _biweight(offset, cut)
        rows = ground.heights_m + ground.coefficients @ state
        cut = _FIRST_CUT_M + share * (_LAST_CUT_M - _FIRST_CUT_M)
        ground_weight = ground_information * _biweight(rows, cut)
        matrix = np.diag(prior_information)
        matrix[:2, :2] += slopes.T @ (slopes * edge_weight[:, None])
        matrix += ground.coefficients.T @ (ground.coefficients * ground_weight[:, None])
        vector = prior_information * (expected - state)
        vector[:2] -= slopes.T @ (edge_weight * offset)
        vector -= ground.coefficients.T @ (ground_weight * rows)
        state = state + np.linalg.solve(matrix, vector)
    num_edges, num_tiles = int((edge_weight > 0).sum()), int((ground_weight > 0).sum())
    return Fit(state, np.linalg.inv(matrix), num_edges, num_tiles)


def _linearized(
    edges: Edges, tilt: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far (N,), radians, edges are from vertical after a tilt, and its slopes (N, 2)."""
    turned = edges.normals @ RigidTransform.from_euler(*tilt.tolist()).rotation.T
    offset = np.einsum("ni,ni->n", turned, edges.ups)
    return offset, np.cross(turned, edges.ups)[:, :2]


def _biweight(residual: NDArray[np.float64], cut: float) -> NDArray[np.float64]:
    return np.maximum(0.0, 1.0 - (residual / cut) ** 2) ** 2


def _grid() -> NDArray[np.float64]:
    values = np.radians(np.arange(-RANGE_DEG, RANGE_DEG + _STEP_DEG / 2.0, _STEP_DEG))
    return np.stack(np.meshgrid(values, values), axis=-1).reshape(-1, 2)


_GRID = _grid()
