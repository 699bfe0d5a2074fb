# SPDX-License-Identifier: Apache-2.0
"""Meshes of moving objects on the graphics card, one uniform matrix per drawn object."""

from __future__ import annotations

from collections.abc import Sequence

import moderngl
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import RigidTransform
from bev_perception.simulation.models import WALKING_MODELS, gait_step, object_mesh
from bev_perception.simulation.pass_shaders import (
    BLOB_PROGRAM,
    DEPTH_PROGRAM,
    SILHOUETTE_PROGRAM,
)
from bev_perception.simulation.program import Program
from bev_perception.simulation.scene import ObjectState
from bev_perception.simulation.shaders import object_program
from bev_perception.simulation.view import inside_frustum

MIN_HEIGHT_PIXELS = 2.5
"""An object less high in the image is not drawn."""

MATTE = WALKING_MODELS | {"bicycle"}


class ObjectModels:
    """Draws objects of a world; each model's mesh is uploaded when first seen."""

    def __init__(self, gl: moderngl.Context, shadow_size: int) -> None:
        self._gl = gl
        self._color = Program(gl, object_program(shadow_size))
        self._depth = Program(gl, DEPTH_PROGRAM)
        self._silhouette = Program(gl, SILHOUETTE_PROGRAM)
        self._blob = Program(gl, BLOB_PROGRAM)
        corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], dtype=np.float32)
        self._blob_array = gl.vertex_array(
            self._blob.gl_program, [(gl.buffer(corners.tobytes()), "2f", "in_position")]
        )
        self._meshes: dict[tuple[str, int], dict[str, moderngl.VertexArray]] = {}

    def visible(
        self,
        objects: Sequence[ObjectState],
        clip_T_map: NDArray[np.float64],
        position: NDArray[np.float64],
        focal: float = np.inf,
    ) -> list[int]:
        """Indices of objects that a camera may see, near ones first.

        Args:
            objects: all of the world.
            clip_T_map: (4, 4) projection of the camera or the sun.
            position: (3,) of the camera in map.
            focal: of the camera in pixels; decides which objects are too small to draw.
        """
        if not objects:
            return []
        centers = np.array([state.box.center for state in objects])
        radii = np.array([np.linalg.norm(state.box.size) / 2 for state in objects])
        seen = inside_frustum(clip_T_map, centers, np.repeat(radii[:, None], 3, axis=1))
        distance = np.linalg.norm(centers - position, axis=1)
        heights = np.array([state.box.size[2] for state in objects])
        seen &= heights * focal >= MIN_HEIGHT_PIXELS * distance
        order = np.argsort(distance, kind="stable")
        return [int(index) for index in order if seen[index]]

    def draw(
        self, objects: Sequence[ObjectState], indices: Sequence[int], position: NDArray[np.float64]
    ) -> None:
        """Draws objects into colour, id and depth; the frame block must be bound."""
        program = self._color
        for index in indices:
            state = objects[index]
            program.set_matrix("offset_T_object", _offset_matrix(state.box.pose, position))
            program.set("paint", tuple(state.color))
            program.set("object_id", index + 1)
            program.set("gloss", 0.0 if state.model in MATTE else 1.0)
            self._arrays(state)["color"].render()

    def draw_depth(
        self,
        objects: Sequence[ObjectState],
        indices: Sequence[int],
        clip_T_map: NDArray[np.float64],
    ) -> None:
        """Draws objects into the shadow map."""
        for index in indices:
            state = objects[index]
            clip_T_mesh = clip_T_map @ state.box.pose.matrix
            self._depth.set_matrix("clip_T_mesh", clip_T_mesh)
            self._arrays(state)["depth"].render()

    def draw_silhouette(
        self,
        state: ObjectState,
        clip_T_offset: NDArray[np.float64],
        position: NDArray[np.float64],
    ) -> None:
        """Draws one object all white, on exactly the pixels that draw covers."""
        self._silhouette.set_matrix("clip_T_offset", clip_T_offset)
        matrix = _offset_matrix(state.box.pose, position)
        self._silhouette.set_matrix("offset_T_object", matrix)
        self._arrays(state)["silhouette"].render()

    def draw_contact_shadows(
        self,
        objects: Sequence[ObjectState],
        indices: Sequence[int],
        position: NDArray[np.float64],
        strength: float,
    ) -> None:
        """Darkens the ground below objects; blending must be on."""
        for index in indices:
            state = objects[index]
            self._blob.set_matrix("offset_T_object", _offset_matrix(state.box.pose, position))
            self._blob.set("half_size", tuple(float(value) / 2 for value in state.box.size))
            self._blob.set("strength", strength * (0.5 if state.model in MATTE else 1.0))
            self._blob_array.render(moderngl.TRIANGLE_STRIP)

    def _arrays(self, state: ObjectState) -> dict[str, moderngl.VertexArray]:
        key = (state.model, gait_step(state.model, state.phase))
        if key not in self._meshes:
            mesh = object_mesh(*key)
            materials = mesh.materials[:, None].astype(np.float32)
            shaded = np.hstack([mesh.vertices, mesh.normals, mesh.colors, materials])
            full = self._upload(shaded, mesh.faces)
            bare = self._upload(mesh.vertices, mesh.faces)
            names = ("in_position", "in_normal", "in_color", "in_material")
            self._meshes[key] = {
                "color": self._vertex_array(self._color, full, "3f 3f 3f 1f", *names),
                "depth": self._vertex_array(self._depth, bare, "3f", "in_position"),
                "silhouette": self._vertex_array(self._silhouette, bare, "3f", "in_position"),
            }
        return self._meshes[key]

    def _upload(
        self, values: NDArray[np.float32], faces: NDArray[np.int32]
    ) -> tuple[moderngl.Buffer, moderngl.Buffer]:
        """Vertices without repetition, and the faces that use them."""
        unique, inverse = np.unique(values, axis=0, return_inverse=True)
        indices = inverse.reshape(-1)[faces].astype(np.int32)
        return self._gl.buffer(unique.tobytes()), self._gl.buffer(indices.tobytes())

    def _vertex_array(
        self,
        program: Program,
        buffers: tuple[moderngl.Buffer, moderngl.Buffer],
        layout: str,
        *names: str,
    ) -> moderngl.VertexArray:
        vertices, indices = buffers
        return self._gl.vertex_array(program.gl_program, [(vertices, layout, *names)], indices)


def _offset_matrix(
    map_T_object: RigidTransform, position: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(4, 4): object points relative to the camera's position, axes of the map."""
    matrix = map_T_object.matrix
    matrix[:3, 3] -= position
    return matrix
