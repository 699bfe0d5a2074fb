# SPDX-License-Identifier: Apache-2.0
"""Builds object meshes from boxes, lofts, limbs and wheels.

Parts are placed with x forward, y left and z up from the ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.simulation.scene import Material, Mesh

Color = tuple[float, float, float]

WHITE: Color = (1.0, 1.0, 1.0)
TYRE: Color = (0.015, 0.015, 0.017)
DARK: Color = (0.03, 0.03, 0.034)
METAL: Color = (0.33, 0.34, 0.36)
GLASS: Color = (0.02, 0.03, 0.04)
HEADLIGHT: Color = (0.85, 0.85, 0.8)
TAIL_LIGHT: Color = (0.55, 0.02, 0.02)
INDICATOR: Color = (0.8, 0.3, 0.02)
PLATE: Color = (0.75, 0.75, 0.7)


class PartBuilder:
    """Collects polygons and makes one mesh of them."""

    def __init__(self) -> None:
        self._triangles: list[NDArray[np.float64]] = []
        self._colors: list[Color] = []
        self._materials: list[int] = []
        self._creases: list[float] = []

    def polygon(
        self,
        points: ArrayLike,
        color: Color,
        material: Material = Material.PLAIN,
        crease_deg: float = 0.0,
    ) -> None:
        """A convex polygon (n, 3), counter-clockwise from outside.

        Neighbours of this polygon whose normal differs by less than crease_deg are shaded
        as one smooth surface.
        """
        corners = np.asarray(points, dtype=np.float64)
        for index in range(1, len(corners) - 1):
            self._triangles.append(corners[[0, index, index + 1]])
            self._colors.append(color)
            self._materials.append(int(material))
            self._creases.append(crease_deg)

    def loft(
        self,
        rings: Sequence[ArrayLike],
        color: Color,
        material: Material = Material.PLAIN,
        crease_deg: float = 35.0,
        caps: bool = True,
    ) -> None:
        """A skin over rings (n, 3) of equal length.

        Each ring runs counter-clockwise seen from the side of the first ring.
        """
        sections = [np.asarray(ring, dtype=np.float64) for ring in rings]
        count = len(sections[0])
        for front, rear in pairwise(sections):
            for index in range(count):
                after = (index + 1) % count
                quad = [front[index], rear[index], rear[after], front[after]]
                self.polygon(quad, color, material, crease_deg)
        if caps:
            self.polygon(sections[0], color, material, crease_deg)
            self.polygon(sections[-1][::-1], color, material, crease_deg)

    def box(
        self,
        low: Sequence[float],
        high: Sequence[float],
        color: Color,
        material: Material = Material.PLAIN,
    ) -> None:
        """An axis-aligned box between two corners."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        ring = np.array([[y0, z0], [y1, z0], [y1, z1], [y0, z1]])
        self.loft([_at(x1, ring), _at(x0, ring)], color, material, crease_deg=0.0)

    def mirrored_box(
        self,
        low: Sequence[float],
        high: Sequence[float],
        color: Color,
        material: Material = Material.PLAIN,
    ) -> None:
        """The box and its mirror image on the other side (y negated)."""
        self.box(low, high, color, material)
        mirrored_low = (low[0], -high[1], low[2])
        self.box(mirrored_low, (high[0], -low[1], high[2]), color, material)

    def limb(
        self,
        start: ArrayLike,
        end: ArrayLike,
        radius_start: float,
        radius_end: float,
        color: Color,
        material: Material = Material.PLAIN,
        sides: int = 7,
    ) -> None:
        """A tapered round bar between two points."""
        a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        axis = (a - b) / np.linalg.norm(a - b)
        helper = np.array([0.0, 1.0, 0.0]) if abs(axis[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
        u = np.cross(helper, axis)
        u /= np.linalg.norm(u)
        v = np.cross(axis, u)
        angle = np.linspace(0.0, 2 * np.pi, sides, endpoint=False)
        circle = np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v
        self.loft([a + radius_start * circle, b + radius_end * circle], color, material, 75.0)

    def ellipsoid(
        self,
        center: ArrayLike,
        radii: ArrayLike,
        color: Color,
        material: Material = Material.PLAIN,
        sides: int = 9,
        from_z: float = -1.0,
    ) -> None:
        """An ellipsoid; from_z in -1..1 keeps only the part above that relative height."""
        middle, half = np.asarray(center, dtype=np.float64), np.asarray(radii, dtype=np.float64)
        angle = np.linspace(0.0, 2 * np.pi, sides, endpoint=False)
        rings = []
        for height in np.sin(np.linspace(np.pi / 2, np.arcsin(from_z), 6)):
            radius = np.sqrt(max(1.0 - height**2, 1e-4))
            unit = np.stack(
                [radius * np.cos(angle), radius * np.sin(angle), np.full(sides, height)], axis=1
            )
            rings.append(middle + half * unit)
        self.loft(rings, color, material, 60.0)

    def wheel(
        self,
        center: Sequence[float],
        radius: float,
        width: float,
        hub_color: Color = METAL,
        hub_ratio: float = 0.62,
        both_sides: bool = False,
    ) -> None:
        """A tyre whose axis is y, with a hub on the side away from y = 0 or on both."""
        sides = 12
        middle, half = np.asarray(center, dtype=np.float64), np.array([0.0, width / 2, 0.0])
        angle = np.linspace(0.0, 2 * np.pi, sides, endpoint=False)
        circle = np.stack([np.sin(angle), np.zeros(sides), np.cos(angle)], axis=1)
        rings = [middle + half + radius * circle, middle - half + radius * circle]
        self.loft(rings, TYRE, Material.PLAIN, 35.0)
        for side in (1.0, -1.0) if both_sides else (1.0 if center[1] > 0 else -1.0,):
            for lift, share, color in ((0.004, hub_ratio, hub_color), (0.008, 0.2, DARK)):
                face = np.array([0.0, width / 2 + lift, 0.0])
                disc = middle + side * face + share * radius * circle
                self.polygon(disc if side > 0 else disc[::-1], color)

    def mesh(self, size: Sequence[float], fit: bool = True) -> Mesh:
        """The mesh centred in its cuboid.

        Args:
            size: (3,) length, width, height in metres.
            fit: stretch to fill the size exactly; False only moves z by half the height.
        """
        triangles = np.array(self._triangles)
        edges = triangles[:, 1:] - triangles[:, :1]
        kept = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > 1e-7
        triangles = triangles[kept]
        points = triangles.reshape(-1, 3)
        if fit:
            low, high = points.min(axis=0), points.max(axis=0)
            points = ((points - low) / (high - low) - 0.5) * np.asarray(size)
        else:
            points = points - [0.0, 0.0, size[2] / 2]
        triangles = points.reshape(-1, 3, 3)
        normals = _smooth_normals(triangles, np.array(self._creases)[kept])
        return Mesh(
            vertices=points.astype(np.float32),
            normals=normals.reshape(-1, 3).astype(np.float32),
            colors=np.repeat(np.array(self._colors, dtype=np.float32)[kept], 3, axis=0),
            materials=np.repeat(np.array(self._materials, dtype=np.uint8)[kept], 3),
            faces=np.arange(len(points), dtype=np.int32).reshape(-1, 3),
        )


def _at(x: float, ring_yz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.full(len(ring_yz), x), ring_yz])


def body_ring(
    x: float, low: float, high: float, half_width: float, roundness: float = 0.08
) -> NDArray[np.float64]:
    """A car body's cross-section (10, 3) at x: flat sides, rounded shoulders, crowned top."""
    height = high - low
    soft = min(roundness, 0.45 * height)
    half = [
        (0.86 * half_width, low),
        (half_width, low + 0.35 * height),
        (half_width - 0.15 * soft, high - 1.1 * soft),
        (half_width - 0.5 * soft, high - 0.35 * soft),
        (half_width - 1.8 * soft, high),
    ]
    ring = half + [(-y, z) for y, z in reversed(half)]
    return _at(x, np.array(ring))


def _smooth_normals(
    triangles: NDArray[np.float64], crease_deg: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Corner normals (F, 3, 3): the area-weighted mean over neighbours within the crease."""
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    unit = cross / np.linalg.norm(cross, axis=1, keepdims=True)
    keys = np.round(triangles.reshape(-1, 3) * 1e4).astype(np.int64)
    _, group = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    bounds = np.flatnonzero(np.diff(group.reshape(-1)[order])) + 1
    normals = np.repeat(unit, 3, axis=0)
    threshold = np.cos(np.radians(crease_deg))
    for corners in np.split(order, bounds):
        faces = corners // 3
        if len(faces) == 1 or threshold[faces].min() > 1.0 - 1e-12:
            continue
        smooth = unit[faces] @ unit[faces].T >= np.maximum.outer(threshold[faces], threshold[faces])
        np.fill_diagonal(smooth, True)
        total = smooth @ cross[faces]
        normals[corners] = total / np.linalg.norm(total, axis=1, keepdims=True)
    return normals.reshape(-1, 3, 3)
