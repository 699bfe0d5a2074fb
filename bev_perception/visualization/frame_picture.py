# SPDX-License-Identifier: Apache-2.0
"""Everything about one moment: the camera views, the prediction and the truth from above."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevOutput, FrameSet, ObjectBox, Rig
from bev_perception.visualization.bev_picture import bev_picture, output_picture
from bev_perception.visualization.drawing import draw_boxes
from bev_perception.visualization.ground_grid import draw_ground_grid
from bev_perception.visualization.layout import camera_rows
from bev_perception.visualization.palette import FAINT_INK, PAPER, PREDICTION, TRUTH, Color
from bev_perception.visualization.text import draw_text

_GAP = 4
_HEADER = 26


def camera_picture(
    frame_set: FrameSet,
    rig: Rig,
    truth: Iterable[ObjectBox] | Mapping[str, Iterable[ObjectBox]] = (),
    predicted: Iterable[ObjectBox] = (),
    row_width: int = 1200,
    ground_grid: bool = False,
    notes: dict[str, str] | None = None,
) -> NDArray[np.uint8]:
    """All cameras of a rig with objects drawn in.

    Args:
        frame_set: the images; a camera that is missing gets an empty view that says so.
        rig: calibration of the images as they are in the frame set.
        truth, predicted: boxes in base_link, not levelled; truth perhaps by camera, each at
            the moment of that camera's image.
        row_width: pixels of the longest row.
        ground_grid: also draw metres on the ground and the horizon.
        notes: a few words per camera, written beside its name.

    Returns:
        (H, W, 3) uint8 RGB with even sides.
    """
    by_camera = truth if isinstance(truth, Mapping) else dict.fromkeys(rig.names, tuple(truth))
    predicted = tuple(predicted)
    rows = camera_rows(rig)
    columns = max(len(row) for row in rows)
    width = (row_width - (columns - 1) * _GAP) // columns
    first = rig.cameras[rows[0][0]].camera
    height = round(width * first.height / first.width)
    canvas = _paper((height + _GAP) * len(rows) - _GAP, row_width)
    for index, row in enumerate(rows):
        left = (row_width - len(row) * width - (len(row) - 1) * _GAP) // 2
        for name in row:
            size = (width, height)
            view = _camera_view(
                frame_set, rig, name, by_camera.get(name, ()), predicted, size, ground_grid
            )
            note = (notes or {}).get(name, "")
            draw_text(view, f"{name}  {note}".strip(), (8, 14), 10.0, plate=0.6)
            top = index * (height + _GAP)
            canvas[top : top + height, left : left + width] = view
            left += width + _GAP
    return _even(canvas)


def frame_picture(
    frame_set: FrameSet,
    rig: Rig,
    output: BevOutput,
    truth: Iterable[ObjectBox] | None = None,
    width: int = 1920,
    title: str = "",
) -> NDArray[np.uint8]:
    """Camera views with truth and predictions, beside them the BEV prediction and the truth.

    Args:
        frame_set: the images.
        rig: calibration of the images as they are in the frame set.
        output: what perception says, and how its base_link is levelled.
        truth: boxes in base_link; None when the bag has no labels.
        width: of the whole picture in pixels.
        title: written at the top.

    Returns:
        (H, W, 3) uint8 RGB with even sides, as video encoders want them.
    """
    words = [("predicted", PREDICTION)] + ([] if truth is None else [("truth", TRUTH)])
    outputs = {"prediction": output}
    return _composed(frame_set, rig, outputs, output.base_objects, truth, width, title, words)


def comparison_picture(
    frame_set: FrameSet,
    rig: Rig,
    outputs: Mapping[str, BevOutput],
    truth: Iterable[ObjectBox] | None = None,
    width: int = 1920,
    title: str = "",
) -> NDArray[np.uint8]:
    """frame_picture for several answers to the same images, each from above under its name.

    Objects of none of them are drawn into the camera views.
    """
    words = [] if truth is None else [("truth", TRUTH)]
    return _composed(frame_set, rig, outputs, (), truth, width, title, words)


def _composed(
    frame_set: FrameSet,
    rig: Rig,
    outputs: Mapping[str, BevOutput],
    predicted: Iterable[ObjectBox],
    truth: Iterable[ObjectBox] | None,
    width: int,
    title: str,
    words: list[tuple[str, Color]],
) -> NDArray[np.uint8]:
    """Camera views, the answers and the truth from above, side by side under a heading."""
    output = next(iter(outputs.values()))
    boxes = None if truth is None else tuple(truth)
    panels = len(outputs) + (boxes is not None)
    camera_width = _camera_width(rig, output, width, panels)
    notes = {name: health.cause for name, health in output.health.items() if not health.ok}
    cameras = camera_picture(frame_set, rig, boxes or (), predicted, camera_width, notes=notes)
    bev_width = (width - camera_width - panels * _GAP) // panels
    level_truth = None
    if boxes is not None:
        level_truth = [box.transformed(output.level_T_base) for box in boxes]
    views = [output_picture(one, level_truth, bev_width, name) for name, one in outputs.items()]
    if level_truth is not None:
        views.append(
            bev_picture(output.grid, None, output.unknown, level_truth, None, bev_width, "truth")
        )
    height = max(cameras.shape[0], views[0].shape[0])
    canvas = _paper(_HEADER + height, width)
    _header(canvas, title or f"{output.stamp_ns / 1e9:.3f} s", words)
    left = 0
    for part in (cameras, *views):
        top = _HEADER + (height - part.shape[0]) // 2
        canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
        left += part.shape[1] + _GAP
    return _even(canvas)


def _camera_width(rig: Rig, output: BevOutput, width: int, panels: int) -> int:
    """Such that the block of cameras is as high as the BEV panels beside it."""
    rows = camera_rows(rig)
    camera = rig.cameras[rows[0][0]].camera
    cameras_aspect = max(len(row) for row in rows) / len(rows) * camera.width / camera.height
    grid = output.grid
    bev_aspect = panels * (grid.y_max - grid.y_min) / (grid.x_max - grid.x_min)
    return round(width * cameras_aspect / (cameras_aspect + bev_aspect)) // 2 * 2


def _camera_view(
    frame_set: FrameSet,
    rig: Rig,
    name: str,
    truth: Iterable[ObjectBox],
    predicted: Iterable[ObjectBox],
    size: tuple[int, int],
    ground_grid: bool,
) -> NDArray[np.uint8]:
    frame = frame_set.frames.get(name)
    if frame is None:
        view = _paper(size[1], size[0])
        draw_text(view, "no image", (size[0] / 2, size[1] / 2), 14, FAINT_INK, "center")
        return view
    view = np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    entry = rig.cameras[name]
    if ground_grid:
        level = frame_set.attitude
        view = draw_ground_grid(view, entry, base_T_ground=level.inverse() if level else None)
    view = draw_boxes(view, entry, truth, TRUTH)
    return draw_boxes(view, entry, predicted, PREDICTION)


def _header(canvas: NDArray[np.uint8], title: str, words: list[tuple[str, Color]]) -> None:
    middle = _HEADER // 2
    draw_text(canvas, title, (10, middle), 12)
    right = canvas.shape[1] - 10
    for text, color in words:
        draw_text(canvas, text, (right, middle), 12, color, "right")
        right -= 90


def _paper(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), PAPER, np.uint8)


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge")
