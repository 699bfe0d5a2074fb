# SPDX-License-Identifier: Apache-2.0
"""Collects triangles with flat or given normals into one Mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.simulation.scene import Material, Mesh

UP = np.array([0.0, 0.0, 1.0])


class MeshBuilder:
    """Adds pieces, then ``build()`` makes one Mesh of them. Coordinates are metres in map."""

    def __init__(self) -> None:
        self._vertices: list[NDArray[np.float32]] = []
        self._normals: list[NDArray[np.float32]] = []
        self._colors: list[NDArray[np.float32]] = []
        self._materials: list[NDArray[np.uint8]] = []
        self._faces: list[NDArray[np.int32]] = []
        self._count = 0

    def triangles(
        self,
        vertices: ArrayLike,
        faces: ArrayLike,
        color: ArrayLike,
        material: Material,
        normals: ArrayLike | None = None,
    ) -> None:
        """Indexed triangles, counter-clockwise from outside.

        Args:
            vertices: (V, 3).
            faces: (F, 3) indices into vertices.
            color: (3,) or (V, 3) linear RGB.
            normals: (3,) or (V, 3) unit vectors; None gives flat faces.
        """
        points = np.asarray(vertices, dtype=np.float64)
        indices = np.asarray(faces, dtype=np.int64)
        colors = np.broadcast_to(np.asarray(color, dtype=np.float64), points.shape)
        if normals is None:
            corners = points[indices]  # (F, 3, 3)
            flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
            colors = colors[indices].reshape(-1, 3)
            points = corners.reshape(-1, 3)
            directions = np.repeat(flat, 3, axis=0)
            indices = np.arange(len(points)).reshape(-1, 3)
        else:
            directions = np.broadcast_to(np.asarray(normals, dtype=np.float64), points.shape)
        self._vertices.append(points.astype(np.float32))
        self._normals.append(directions.astype(np.float32))
        self._colors.append(np.clip(colors, 0.0, 1.0).astype(np.float32))
        self._materials.append(np.full(len(points), int(material), dtype=np.uint8))
        self._faces.append((indices + self._count).astype(np.int32))
        self._count += len(points)

    def quads(self, corners: ArrayLike, color: ArrayLike, material: Material) -> None:
        """Flat quadrilaterals (N, 4, 3), counter-clockwise from outside."""
        points = np.asarray(corners, dtype=np.float64).reshape(-1, 3)
        if len(points) == 0:
            return
        base = np.arange(0, len(points), 4)[:, None]
        faces = (base + np.array([0, 1, 2, 0, 2, 3])).reshape(-1, 3)
        first = points.reshape(-1, 4, 3)
        normals = np.cross(first[:, 2] - first[:, 0], first[:, 3] - first[:, 1])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        self.triangles(points, faces, color, material, np.repeat(normals, 4, axis=0))

    def ground(
        self, points: ArrayLike, faces: ArrayLike, z: float, color: ArrayLike, material: Material
    ) -> None:
        """Horizontal triangles over (N, 2) points, facing up whatever their winding."""
        flat = np.asarray(points, dtype=np.float64)
        indices = np.array(faces, dtype=np.int64)
        a, b, c = (flat[indices[:, k]] for k in range(3))
        area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
        indices[area < 0] = indices[area < 0][:, ::-1]
        vertices = np.column_stack([flat, np.full(len(flat), z)])
        self.triangles(vertices, indices[np.abs(area) > 1e-9], color, material, UP)

    def strip(
        self, left: ArrayLike, right: ArrayLike, z: float, color: ArrayLike, material: Material
    ) -> None:
        """A horizontal ribbon between two polylines (N, 2)."""
        a, b = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
        count = len(a)
        k = np.arange(count - 1)
        faces = np.concatenate(
            [
                np.stack([k, k + count, k + count + 1], axis=1),
                np.stack([k, k + count + 1, k + 1], axis=1),
            ]
        )
        self.ground(np.concatenate([a, b]), faces, z, color, material)

    def box(
        self,
        center: ArrayLike,
        size: ArrayLike,
        yaw: float,
        color: ArrayLike,
        material: Material,
        top: tuple[ArrayLike, Material] | None = None,
    ) -> None:
        """A cuboid standing on z = center[2], without its bottom.

        Args:
            center: (3,) centre of the bottom face.
            size: (3,) length along yaw, width, height.
            top: colour and material of the roof where it differs.
        """
        x, y, z = np.asarray(center, dtype=np.float64)
        length, width, height = np.asarray(size, dtype=np.float64)
        c, s = np.cos(yaw), np.sin(yaw)
        signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (length / 2, width / 2)
        flat = signs @ np.array([[c, s], [-s, c]]) + (x, y)
        low = np.column_stack([flat, np.full(4, z)])
        high = np.column_stack([flat, np.full(4, z + height)])
        k, n = np.arange(4), np.arange(1, 5) % 4
        walls = np.stack([low[k], low[n], high[n], high[k]], axis=1)
        self.quads(walls, color, material)
        roof_color, roof_material = top if top is not None else (color, material)
        self.quads(high[None], roof_color, roof_material)

    def prism(
        self,
        base: ArrayLike,
        radius: float,
        height: float,
        sides: int,
        color: ArrayLike,
        material: Material,
        taper: float = 1.0,
    ) -> None:
        """An upright prism or cone on base (3,), smoothly shaded round its axis."""
        angles = np.arange(sides) * 2.0 * np.pi / sides
        ring = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(sides)])
        low = ring * radius + np.asarray(base)
        high = ring * radius * taper + np.asarray(base) + (0.0, 0.0, height)
        k, n = np.arange(sides), np.arange(1, sides + 1) % sides
        faces = np.concatenate(
            [np.stack([k, n, n + sides], axis=1), np.stack([k, n + sides, k + sides], axis=1)]
        )
        slope = radius * (1.0 - taper)
        normals = ring * height + (0.0, 0.0, slope)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        both = np.concatenate([normals, normals])
        self.triangles(np.concatenate([low, high]), faces, color, material, both)

    def build(self) -> Mesh:
        """Everything added so far as one Mesh."""
        return Mesh(
            np.concatenate(self._vertices),
            np.concatenate(self._normals),
            np.concatenate(self._colors),
            np.concatenate(self._materials),
            np.concatenate(self._faces),
        )
