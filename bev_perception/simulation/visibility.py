# SPDX-License-Identifier: Apache-2.0
"""How much of each object the cameras see: its visible pixels over its silhouette's pixels.

The silhouette is drawn exactly: every object alone, on the same pixel grid as the image,
side by side in one atlas of which only the object's own rectangle is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import moderngl
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import RigidTransform
from bev_perception.simulation.object_models import ObjectModels
from bev_perception.simulation.scene import ObjectState, RenderedSet, WorldState
from bev_perception.simulation.view import NEAR_M, CameraView, clip_T_offset

ATLAS_SIZE = 2048

Cell = tuple[int, int, int, int]
"""Left, top, width, height of pixels in an image."""


class Silhouettes:
    """Counts pixels of objects as if nothing stood before them."""

    def __init__(self, gl: moderngl.Context, objects: ObjectModels) -> None:
        self._gl = gl
        self._objects = objects
        self._atlas: moderngl.Framebuffer | None = None

    def visible_shares(
        self,
        views: Sequence[CameraView],
        state: WorldState,
        rendered: RenderedSet,
        indices: Sequence[int],
    ) -> NDArray[np.float64]:
        """(len(indices),) visible share of each object over all views, 0 when in none."""
        visible = np.zeros(len(state.objects) + 1)
        for view in views:
            visible += np.bincount(rendered.ids[view.name].ravel(), minlength=len(visible))
        seen = [index for index in indices if visible[index + 1]]
        whole = np.ones(len(state.objects))
        whole[seen] = np.sum([self.count(view, state, seen) for view in views], axis=0)
        chosen = np.asarray(indices, dtype=np.int64)
        return np.clip(visible[chosen + 1] / whole[chosen], 0.0, 1.0)

    def count(
        self, view: CameraView, state: WorldState, indices: Sequence[int]
    ) -> NDArray[np.int64]:
        """(len(indices),) pixels of each object's silhouette inside the view's image."""
        map_T_camera = state.map_T_base @ view.mounted.base_T_camera
        camera_T_map = map_T_camera.inverse()
        counts = np.zeros(len(indices), dtype=np.int64)
        cells: list[tuple[int, Cell]] = []
        for place, index in enumerate(indices):
            corners = camera_T_map.apply(state.objects[index].box.corners)
            cell = _pixel_rectangle(view, corners)
            if cell is not None:
                cells.append((place, cell))
        while cells:
            size = max(ATLAS_SIZE, *view.size)
            placed, cells = _pack(cells, size)
            chosen = [
                (state.objects[indices[place]], cell, corner) for place, cell, corner in placed
            ]
            atlas = self._draw(view, chosen, map_T_camera, size)
            for place, cell, (column, row) in placed:
                alone = atlas[row : row + cell[3], column : column + cell[2]]
                counts[place] = _count_through_lens(view, alone, cell)
        return counts

    def _draw(
        self,
        view: CameraView,
        placed: Sequence[tuple[ObjectState, Cell, tuple[int, int]]],
        map_T_camera: RigidTransform,
        size: int,
    ) -> NDArray[np.uint8]:
        gl = self._gl
        if self._atlas is None or self._atlas.size[0] < size:
            self._atlas = gl.framebuffer([gl.renderbuffer((size, size), 1)])
        self._atlas.use()
        self._atlas.scissor = (0, 0, *self._atlas.size)
        self._atlas.clear()
        gl.enable_only(moderngl.CULL_FACE)
        gl.front_face = "cw"
        projection = clip_T_offset(view.ideal, map_T_camera)
        width, height = view.size
        used = 0
        for state, (left, top, cell_width, cell_height), (column, row) in placed:
            self._atlas.viewport = (column - left, row - top, width, height)
            self._atlas.scissor = (column, row, cell_width, cell_height)
            self._objects.draw_silhouette(state, projection, map_T_camera.translation)
            used = max(used, row + cell_height)
        self._atlas.scissor = (0, 0, *self._atlas.size)
        self._atlas.viewport = (0, 0, *self._atlas.size)
        width = self._atlas.size[0]
        data = self._atlas.read(viewport=(0, 0, width, used), components=1, alignment=1)
        return np.frombuffer(data, dtype=np.uint8).reshape(used, width)


def _pixel_rectangle(view: CameraView, corners: NDArray[np.float64]) -> Cell | None:
    """Pixels of the ideal image that a cuboid (8, 3) in the optical frame may cover."""
    width, height = view.size
    depth = corners[:, 2]
    if (depth <= NEAR_M).all():
        return None
    if (depth <= NEAR_M).any():
        return 0, 0, width, height
    pixels = corners @ view.ideal.matrix.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    low = np.floor(pixels.min(axis=0) - 1).astype(int).clip(0)
    high = (np.ceil(pixels.max(axis=0) + 1).astype(int) + 1).clip(max=(width, height))
    if (high <= low).any():
        return None
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def _pack(
    cells: list[tuple[int, Cell]], size: int
) -> tuple[list[tuple[int, Cell, tuple[int, int]]], list[tuple[int, Cell]]]:
    """Places rectangles on shelves of a square; returns the placed and those left over."""
    placed, left_over = [], []
    column = row = shelf = 0
    for place, cell in sorted(cells, key=lambda entry: (-entry[1][3], entry[0])):
        if column + cell[2] > size:
            column, row, shelf = 0, row + shelf, 0
        if row + cell[3] > size:
            left_over.append((place, cell))
            continue
        placed.append((place, cell, (column, row)))
        column += cell[2]
        shelf = max(shelf, cell[3])
    return placed, left_over


def _count_through_lens(view: CameraView, alone: NDArray[np.uint8], cell: Cell) -> int:
    """Pixels of a silhouette, drawn in its rectangle, as the camera's lens shows them."""
    if view.maps is None:
        return int(np.count_nonzero(alone))
    left, top, width, height = cell
    image = np.zeros(view.size[::-1], dtype=np.uint8)
    image[top : top + height, left : left + width] = alone
    return int(np.count_nonzero(view.distort_values(image, 0)))
