# SPDX-License-Identifier: Apache-2.0
"""The quick ways to peaks and nearest peaks find what the plain ways find."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from bev_perception.geometry import BevGrid
from bev_perception.perception import PipelineSettings, peaks
from bev_perception.perception.objects import _nearest

GRID = BevGrid(-7.0, -9.0, 0.4, 40, 33)


def dilated_maxima(values: np.ndarray, kernel: np.ndarray, threshold: float) -> set:
    is_peak = (values >= threshold) & (values >= cv2.dilate(values, kernel))
    return set(zip(*np.nonzero(is_peak)))


@pytest.mark.parametrize("few", [0, 2000])
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from([0, 1, 2]))
@settings(max_examples=40, deadline=None)
def test_maxima_are_those_of_a_dilation(few, seed, reach, decimals):
    """Rounding makes plateaus."""
    rng = np.random.default_rng(seed)
    values = np.round(rng.random(GRID.shape) ** 8, decimals + 1).astype(np.float32)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peaks, "_FEW_MAXIMA", few)
        found = set(zip(*peaks._maxima(values, kernel, 0.1)))
    assert found == dilated_maxima(values, kernel, 0.1)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 4.0), st.floats(0.1, 4.0), st.floats(0.01, 5.0))
@settings(max_examples=60, deadline=None)
def test_each_vote_gets_the_nearest_peak(seed, peak_radius_m, group_radius_m, noise_m):
    """Votes reach beyond the grid, peaks lie on cells as far apart as find_peaks leaves them."""
    rng = np.random.default_rng(seed)
    chosen = PipelineSettings(peak_radius_m=peak_radius_m, group_radius_m=group_radius_m)
    center = rng.random(GRID.shape).astype(np.float32)
    found, _ = peaks.find_peaks(GRID, center, chosen)
    aims = found[rng.integers(0, len(found), 500)]
    votes = (aims + rng.normal(0.0, noise_m, aims.shape)).T
    distance, nearest = cKDTree(found).query(votes.T, distance_upper_bound=group_radius_m)
    expected = np.where(np.isfinite(distance), nearest, -1)
    np.testing.assert_array_equal(_nearest(GRID, found, votes, chosen, peak_radius_m), expected)
