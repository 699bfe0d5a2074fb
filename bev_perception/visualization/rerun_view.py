# SPDX-License-Identifier: Apache-2.0
"""Cameras, grids, objects and reports as a Rerun recording.

Everything hangs below ``world/base_link``, so every 3D view can ride with the vehicle. Rerun
counts pixels from the image's corner where we count them from the first pixel's centre, so
principal points and everything else in pixels are logged half a pixel further right and down.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import rerun as rr
from numpy.typing import NDArray

from bev_perception.geometry import (
    BevGrid,
    CameraFrame,
    ObjectBox,
    Rig,
    RigCamera,
    RigidTransform,
    levelled,
)
from bev_perception.visualization.bev_picture import (
    EGO_LENGTH_M,
    EGO_REAR_OVERHANG_M,
    EGO_WIDTH_M,
    BevView,
)
from bev_perception.visualization.image_file import encode_image
from bev_perception.visualization.palette import (
    EGO,
    PREDICTION,
    TRUTH,
    UNKNOWN_LIGHT,
    VEHICLE_FILL,
    probability_colors,
)
from bev_perception.visualization.rerun_shapes import (
    boxes_entity,
    pinhole_entity,
    rows,
    transform_entity,
)
from bev_perception.visualization.shown_camera import ShownCamera

TIMELINE = "stamp"
WORLD = "world"
BASE = f"{WORLD}/base_link"
CAMERAS = f"{BASE}/camera"
GROUND = f"{BASE}/ground"
BEV = "bev"
LATENCY = "latency"
REPORTS = "log"

Kind = Literal["predicted", "truth"]

_COLORS = {"predicted": PREDICTION, "truth": TRUTH}
_EGO_HEIGHT_M = 1.5
_MIN_SPEED = 0.2
"""Metres per second below which no arrow is drawn."""

_FIGURE = re.compile(r"[\d.]+")
_LEVELS = ("INFO", "WARN", "ERROR", "WARN")
_UNSEEN_GRID = BevGrid.centered(50.0, 0.5)
"""Scale of the picture from above as long as no grid has told its own."""


def camera_path(name: str) -> str:
    """Entity of a camera: its pinhole, with the image below it."""
    return f"{CAMERAS}/{rr.escape_entity_path_part(name)}"


class RerunView:
    """Logs plain types at their stamps.

    Args:
        recording: to log to.
        image_quality: of JPEG, 1 to 100.
        max_image_width: wider images are shrunk to this, pixels.
        with_log_time: whether the time of logging is kept, too, for stamps that jump.
    """

    def __init__(
        self,
        recording: rr.RecordingStream,
        image_quality: int = 80,
        max_image_width: int = 960,
        with_log_time: bool = False,
    ) -> None:
        self._recording = recording
        self._quality = image_quality
        self._max_width = max_image_width
        self._cameras: dict[str, RigCamera] = {}
        self._shown: dict[str, ShownCamera] = {}
        self._level_T_base = RigidTransform.identity()
        self._said: dict[str, tuple[int, str]] = {}
        recording.set_log_time_enabled(with_log_time)
        recording.set_log_tick_enabled(False)
        recording.log(WORLD, rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        self._log_ego()
        self._see_grid(_UNSEEN_GRID)

    def rig(self, rig: Rig) -> None:
        """Where the cameras are and what they see, from now on; what has not changed is kept."""
        for name, camera in rig.cameras.items():
            if self._cameras.get(name) == camera:
                continue
            self._cameras[name] = camera
            self._shown[name] = ShownCamera(camera.camera, self._max_width)
            path = camera_path(name)
            self._recording.log(path, transform_entity(camera.base_T_camera), static=True)
            self._recording.log(path, pinhole_entity(self._shown[name].shown), static=True)

    def image(self, frame: CameraFrame) -> None:
        """An image, undistorted where its camera is in the rig, as JPEG.

        Raises:
            CalibrationError: its size is not the calibrated one.
        """
        shown = self._shown.get(frame.camera)
        image = frame.image if shown is None else shown.image(frame)
        data = encode_image(image, ".jpg", self._quality)
        self._log_image(f"{camera_path(frame.camera)}/image", frame.stamp_ns, data, "image/jpeg")

    def shows_as_is(self, camera: str) -> bool:
        """Whether a camera's images are shown pixel by pixel, so that jpeg may be used."""
        shown = self._shown.get(camera)
        return shown is not None and shown.is_as_is

    def jpeg(self, camera: str, stamp_ns: int, data: bytes) -> None:
        """An image that has been encoded already."""
        self._log_image(f"{camera_path(camera)}/image", stamp_ns, data, "image/jpeg")

    def pose(self, stamp_ns: int, world_T_base: RigidTransform) -> None:
        """Where the vehicle is; also levels the grids and objects seen from above that follow."""
        self._level_T_base = levelled(world_T_base)
        self._at(stamp_ns)
        self._recording.log(BASE, transform_entity(world_T_base))
        self._recording.log(GROUND, transform_entity(self._level_T_base.inverse()))

    def occupancy(self, stamp_ns: int, grid: BevGrid, values: NDArray[np.int8]) -> None:
        """(num_y, num_x) of 0 free, 100 occupied, -1 unknown, on the ground of the 3D view."""
        colors = probability_colors(np.zeros(grid.shape, np.float32))
        colors[values > 0] = VEHICLE_FILL
        colors[values < 0] = UNKNOWN_LIGHT
        self._log_ground("occupancy", stamp_ns, grid, colors)

    def probability(self, stamp_ns: int, grid: BevGrid, percent: NDArray[np.int8]) -> None:
        """(num_y, num_x) of 0..100, -1 unknown: on the ground, and as the picture from above."""
        colors = probability_colors(percent.astype(np.float32) / 100.0)
        colors[percent < 0] = UNKNOWN_LIGHT
        self._log_ground("probability", stamp_ns, grid, colors)
        if grid != self._view.grid:
            self._see_grid(grid)
        picture = np.ascontiguousarray(np.swapaxes(colors, 0, 1)[::-1, ::-1])
        data = encode_image(picture, ".png")
        self._log_image(f"{BEV}/probability", stamp_ns, data, "image/png")

    def boxes(self, stamp_ns: int, boxes: Sequence[ObjectBox], kind: Kind) -> None:
        """All objects of a moment, in base_link; those of the moment before are gone."""
        self._at(stamp_ns)
        color, path = _COLORS[kind], f"{BASE}/{kind}"
        self._recording.log(
            f"{path}/boxes", boxes_entity(boxes, color, with_labels=kind == "predicted")
        )
        moving = [box for box in boxes if np.linalg.norm(np.nan_to_num(box.velocity)) > _MIN_SPEED]
        arrows = rr.Arrows3D(
            vectors=rows([box.velocity for box in moving], 3),
            origins=rows([box.center for box in moving], 3),
            colors=color,
            radii=0.06,
        )
        self._recording.log(f"{path}/velocities", arrows)
        strips = [strip for box in boxes for strip in self._outlines(box)]
        radius = rr.Radius.ui_points(1.0)
        outlines = rr.LineStrips2D(strips, colors=[color] * len(strips), radii=radius)
        self._recording.log(f"{BEV}/{kind}", outlines)

    def centers(
        self,
        stamp_ns: int,
        points: NDArray[np.floating],
        scores: NDArray[np.floating],
        object_ids: NDArray[np.integer],
    ) -> None:
        """(N, 3) object centres in base_link, metres, coloured by their (N,) scores in 0..1."""
        self._at(stamp_ns)
        colors = probability_colors(np.asarray(scores)[None, :])[0]
        labels = [f"{number}: {score:.2f}" for number, score in zip(object_ids, scores)]
        entity = rr.Points3D(
            rows(points, 3), colors=colors, radii=0.35, labels=labels, show_labels=False
        )
        self._recording.log(f"{BASE}/predicted/centers", entity)

    def latency(self, stamp_ns: int, stage: str, milliseconds: float) -> None:
        """How long a stage took for the images of a stamp."""
        self._at(stamp_ns)
        path = f"{LATENCY}/{rr.escape_entity_path_part(stage)}"
        self._recording.log(path, rr.Scalars(milliseconds))

    def report(self, stamp_ns: int, level: int, name: str, message: str) -> None:
        """A line of the log: level 0 OK, 1 warning, 2 error, 3 stale.

        Left out where only figures differ from the line before of the same name.
        """
        wording = level, _FIGURE.sub("", message)
        if self._said.get(name) == wording:
            return
        self._said[name] = wording
        self._at(stamp_ns)
        path = f"{REPORTS}/{rr.escape_entity_path_part(name)}"
        text = _LEVELS[level] if 0 <= level < len(_LEVELS) else _LEVELS[2]
        self._recording.log(path, rr.TextLog(message, level=text))

    def _at(self, stamp_ns: int) -> None:
        self._recording.set_time(TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))

    def _log_image(self, path: str, stamp_ns: int, data: bytes, media_type: str) -> None:
        self._at(stamp_ns)
        self._recording.log(path, rr.EncodedImage(contents=data, media_type=media_type))

    def _log_ground(
        self, name: str, stamp_ns: int, grid: BevGrid, colors: NDArray[np.uint8]
    ) -> None:
        """A GridMap begins with the row farthest along y: images have their first row on top."""
        self._at(stamp_ns)
        entity = rr.GridMap(
            data=colors[::-1].tobytes(),
            format=rr.components.ImageFormat(
                width=grid.num_x, height=grid.num_y, color_model="RGB", channel_datatype="U8"
            ),
            cell_size=grid.resolution,
            translation=(grid.x_min, grid.y_min, 0.0),
        )
        self._recording.log(f"{GROUND}/{name}", entity)

    def _see_grid(self, grid: BevGrid) -> None:
        """Sets the scale of the picture from above: one pixel per cell, forward is up."""
        self._view = BevView(grid, grid.num_y)
        half = EGO_WIDTH_M / 2.0
        front, rear = EGO_LENGTH_M - EGO_REAR_OVERHANG_M, -EGO_REAR_OVERHANG_M
        outline = [(front, half), (rear, half), (rear, -half), (front, -half), (front, half)]
        strip = self._pixels(np.array(outline))
        entity = rr.LineStrips2D([strip], colors=EGO, radii=rr.Radius.ui_points(1.5))
        self._recording.log(f"{BEV}/ego", entity, static=True)

    def _log_ego(self) -> None:
        half = np.array([EGO_LENGTH_M, EGO_WIDTH_M, _EGO_HEIGHT_M]) / 2.0
        center = (half[0] - EGO_REAR_OVERHANG_M, 0.0, half[2])
        ego = rr.Boxes3D(half_sizes=[half], centers=[center], colors=EGO)
        self._recording.log(f"{BASE}/ego", ego, static=True)

    def _outlines(self, box: ObjectBox) -> list[NDArray[np.float64]]:
        """Footprint from above and a stroke from its middle to its front, in pixels.

        Nothing for a box beyond the grid.
        """
        corners = box.transformed(self._level_T_base).footprint
        if not self._view.grid.contains(corners).any():
            return []
        front = corners[[0, 3]].mean(axis=0)
        stroke = np.stack([corners.mean(axis=0), front])
        return [self._pixels(np.concatenate([corners, corners[:1]])), self._pixels(stroke)]

    def _pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._view.to_pixels(points) + 0.5
