# SPDX-License-Identifier: Apache-2.0
"""Procedural textures, the same bytes on every machine."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SURFACE_SIZE = 512
FACADE_SIZE = 128
SENSOR_NOISE_SIZE = 512


@lru_cache(maxsize=1)
def surface_texture(seed: int = 7) -> NDArray[np.uint8]:
    """(512, 512, 4) tiling surface detail, 128 on average in the first three channels.

    Red: fine grain. Green: medium blotches. Blue: coarse clouds. Alpha: joints of
    paving stones, 255 on the stone.
    """
    rng = np.random.default_rng(seed)
    grain = _octaves(rng, (128, 256, 512), (0.5, 0.7, 0.6))
    blotch = _octaves(rng, (16, 32, 64, 128, 256), (1.0, 0.8, 0.6, 0.5, 0.4))
    cloud = _octaves(rng, (4, 8, 16, 32, 64), (1.0, 0.7, 0.45, 0.25, 0.12))
    channels = [_to_bytes(values) for values in (grain, blotch, cloud)]
    return np.stack([*channels, _paving(rng)], axis=-1)


@lru_cache(maxsize=1)
def facade_textures(seed: int = 11) -> NDArray[np.uint8]:
    """(4, 128, 128, 4): one bay of one storey in four styles; row 0 is the floor.

    Red: share of glass. Green: shade of wall or frame, 200 is the plain wall.
    Blue: height within the pane, for its reflection. Alpha: 255 on frames and sills.
    """
    rng = np.random.default_rng(seed)
    styles = (
        [(0.22, 0.78, 0.30, 0.80)],
        [(0.12, 0.45, 0.28, 0.78), (0.55, 0.88, 0.28, 0.78)],
        [(0.08, 0.92, 0.34, 0.82)],
        [(0.32, 0.68, 0.12, 0.82)],
    )
    return np.stack([_facade(rng, windows) for windows in styles])


def sensor_noise_texture(seed: int) -> NDArray[np.float32]:
    """(512, 512, 3) standard normal deviates, cut at 4."""
    rng = np.random.default_rng(seed)
    size = (SENSOR_NOISE_SIZE, SENSOR_NOISE_SIZE, 3)
    return np.clip(rng.standard_normal(size, dtype=np.float32), -4.0, 4.0)


def _octaves(
    rng: np.random.Generator, cells: tuple[int, ...], weights: tuple[float, ...]
) -> NDArray[np.float64]:
    """Sum of tiling, smoothly interpolated random lattices (512, 512), mean 0, deviation 1."""
    total = np.zeros((SURFACE_SIZE, SURFACE_SIZE))
    for count, weight in zip(cells, weights, strict=True):
        lattice = rng.standard_normal((count, count))
        total += weight * _upsample(_upsample(lattice, 0), 1)
    return (total - total.mean()) / total.std()


def _upsample(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    count = values.shape[axis]
    position = np.arange(SURFACE_SIZE) * count / SURFACE_SIZE
    low = np.floor(position).astype(int)
    share = position - low
    share = share * share * (3.0 - 2.0 * share)
    shape = [-1, 1] if axis == 0 else [1, -1]
    first = values.take(low, axis=axis)
    second = values.take((low + 1) % count, axis=axis)
    return first + share.reshape(shape) * (second - first)


def _to_bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.round(128.0 + 48.0 * values), 0, 255).astype(np.uint8)


def _paving(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Eight by eight stones in running bond, each of its own shade, with dark joints."""
    stone = SURFACE_SIZE // 8
    rows, columns = np.mgrid[0:SURFACE_SIZE, 0:SURFACE_SIZE]
    shifted = (columns + (rows // stone % 2) * (stone // 2)) % SURFACE_SIZE
    shade = rng.uniform(205, 255, (8, 8))[rows // stone, shifted // stone]
    joint = (rows % stone < 3) | (shifted % stone < 3)
    return np.where(joint, 110.0, shade).astype(np.uint8)


def _facade(
    rng: np.random.Generator, windows: list[tuple[float, float, float, float]]
) -> NDArray[np.uint8]:
    size = FACADE_SIZE
    rows, columns = (np.mgrid[0:size, 0:size] + 0.5) / size
    glass, frame, pane = np.zeros((3, size, size))
    shade = 200.0 + 5.0 * rng.standard_normal((size, size))
    shade[rows < 0.035] *= 0.82
    border = 0.028
    for left, right, bottom, top in windows:
        outer = _inside(rows, columns, left - border, right + border, bottom - border, top + border)
        inner = _inside(rows, columns, left, right, bottom, top)
        mullion = np.abs(columns - (left + right) / 2) < 0.012
        transom = np.abs(rows - (bottom + 0.7 * (top - bottom))) < 0.010
        sill = _inside(rows, columns, left - 0.05, right + 0.05, bottom - 0.06, bottom - border)
        recess = inner & (rows > top - 0.05)
        frame[outer | sill] = 1.0
        shade[outer] = 225.0
        shade[sill] = 170.0
        lit = inner & ~mullion & ~transom
        frame[lit] = 0.0
        glass[lit] = 1.0
        pane = np.where(inner, (rows - bottom) / (top - bottom), pane)
        shade[recess] = 120.0
    channels = (255 * glass, np.clip(shade, 0, 255), 255 * pane, 255 * frame)
    return np.stack(channels, axis=-1).astype(np.uint8)


def _inside(
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    left: float,
    right: float,
    bottom: float,
    top: float,
) -> NDArray[np.bool_]:
    return (columns > left) & (columns < right) & (rows > bottom) & (rows < top)
