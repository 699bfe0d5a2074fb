# SPDX-License-Identifier: Apache-2.0
"""The town's mesh on the graphics card, in chunks that are drawn only where seen."""

from __future__ import annotations

import moderngl
import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.pass_shaders import DEPTH_PROGRAM
from bev_perception.simulation.program import Program
from bev_perception.simulation.scene import Material, Mesh
from bev_perception.simulation.shaders import SURFACE_OF, static_program
from bev_perception.simulation.view import inside_frustum

CHUNK_M = 48.0
SURFACE_ORDER = (
    "facade", "plain", "foliage", "glass", "light", "marking", "pavement", "asphalt", "grass",
)  # fmt: skip
"""What hides much is drawn first, so that what it hides is not shaded."""

CASTING = frozenset({"facade", "plain", "foliage", "glass", "light"})
"""Surfaces that throw shadows; the ground does not."""


class StaticScene:
    """One vertex buffer, and for every surface and chunk a range of its indices."""

    def __init__(self, gl: moderngl.Context, mesh: Mesh, shadow_size: int) -> None:
        surface_rank = np.full(256, SURFACE_ORDER.index("plain"))
        for material in Material:
            surface_rank[int(material)] = SURFACE_ORDER.index(SURFACE_OF[material])
        faces = np.asarray(mesh.faces)
        rank = surface_rank[mesh.materials[faces[:, 0]]]
        corners = mesh.vertices[faces].astype(np.float64)  # (F, 3, 3)
        cell = np.floor(corners.mean(axis=1)[:, :2] / CHUNK_M).astype(np.int64)
        order = np.lexsort((cell[:, 1], cell[:, 0], rank))
        keys = np.column_stack([rank, cell])[order]
        starts = np.flatnonzero(np.r_[True, (np.diff(keys, axis=0) != 0).any(axis=1)])
        ends = np.r_[starts[1:], len(order)]
        lows = np.minimum.reduceat(corners[order].min(axis=1), starts)
        highs = np.maximum.reduceat(corners[order].max(axis=1), starts)
        self._centers, self._half_sizes = (lows + highs) / 2, (highs - lows) / 2
        self._ranks = keys[starts, 0]
        self._ranges = np.column_stack([3 * starts, 3 * (ends - starts)])
        vertices = np.concatenate([mesh.vertices, mesh.normals, mesh.colors], axis=1)
        self._vertices = gl.buffer(np.ascontiguousarray(vertices, dtype=np.float32).tobytes())
        self._indices = gl.buffer(np.ascontiguousarray(faces[order], dtype=np.int32).tobytes())
        self._arrays: dict[int, moderngl.VertexArray] = {}
        for used in np.unique(self._ranks):
            program = Program(gl, static_program(SURFACE_ORDER[used], shadow_size))
            layout, names = _present(program)
            content = [(self._vertices, layout, *names)]
            self._arrays[int(used)] = gl.vertex_array(program.gl_program, content, self._indices)
        self._depth_program = Program(gl, DEPTH_PROGRAM)
        depth_content = [(self._vertices, "3f 24x", "in_position")]
        self._depth_array = gl.vertex_array(
            self._depth_program.gl_program, depth_content, self._indices
        )
        self._casting = np.isin(self._ranks, [SURFACE_ORDER.index(name) for name in CASTING])

    def draw(self, clip_T_map: NDArray[np.float64], camera_position: NDArray[np.float64]) -> None:
        """Draws what a camera may see: surface by surface, near chunks first."""
        seen = np.flatnonzero(inside_frustum(clip_T_map, self._centers, self._half_sizes))
        gap = np.abs(self._centers[seen] - camera_position) - self._half_sizes[seen]
        distance = np.linalg.norm(np.maximum(gap, 0.0), axis=1)
        for index in seen[np.lexsort((distance, self._ranks[seen]))]:
            first, count = self._ranges[index]
            self._arrays[int(self._ranks[index])].render(vertices=int(count), first=int(first))

    def draw_depth(self, clip_T_map: NDArray[np.float64]) -> None:
        """Draws depths of what throws shadows."""
        seen = inside_frustum(clip_T_map, self._centers, self._half_sizes) & self._casting
        self._depth_program.set_matrix("clip_T_mesh", clip_T_map)
        for first, count in self._ranges[seen]:
            self._depth_array.render(vertices=int(count), first=int(first))


def _present(program: Program) -> tuple[str, list[str]]:
    """Buffer layout that skips attributes which the compiler removed."""
    layout, names = [], []
    for name in ("in_position", "in_normal", "in_color"):
        if name in program:
            layout.append("3f")
            names.append(name)
        else:
            layout.append("12x")
    return " ".join(layout), names
