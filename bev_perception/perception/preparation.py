# SPDX-License-Identifier: Apache-2.0
"""Camera images to the size that the network takes, and the intrinsics that go with them.

The full horizontal field of view is kept: an image is scaled to the network's width, its
aspect kept to the nearest row. Surplus rows are cut off above as long as a quarter of the
result stays above the horizon, then below: what stands on the ground is around and below the
horizon. Missing rows are added black, above and below by halves, so that the horizon stays
near the middle. Lens distortion stays in the camera model, where the lift uses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import CalibrationError, ConfigurationError
from bev_perception.geometry import CameraFrame, FrameSet, Rig, RigCamera
from bev_perception.model import ImageResize
from bev_perception.perception.area_shrink import AreaShrink
from bev_perception.perception.resize_matrices import resize_matrices

SKY_SHARE = 0.25
"""Share of the prepared image's rows that cropping leaves above the horizon."""


@dataclass(frozen=True)
class PreparedSet:
    """Network input of one moment.

    Attributes:
        images: (S, H, W, 3) uint8 RGB in the rig's order; zeros where missing.
        present: (S,) bool.
    """

    images: NDArray[np.uint8]
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class RowLayout:
    """How one camera's rows come about.

    Attributes:
        scaled_height: rows after scaling to the network's width.
        top: first scaled row that is kept; negative when rows are added above.
    """

    scaled_height: int
    top: int

    def visible_rows(self, height: int) -> slice:
        """Rows of the prepared image that hold image, not added black."""
        return slice(max(0, -self.top), min(height, self.scaled_height - self.top))


class Preparation:
    """Scales, crops and pads the images of one rig. To be used by one thread at a time.

    Args:
        rig: calibration of the images as they come.
        image_size: (height, width) of the network's input.
    """

    def __init__(self, rig: Rig, image_size: tuple[int, int]) -> None:
        height, width = int(image_size[0]), int(image_size[1])
        if height < 1 or width < 1:
            raise ConfigurationError(f"image size must be positive, got {height}x{width}")
        self.source_rig = rig
        self._scaler, self._helpers_scaler = _Scaler(), _Scaler()
        self.image_size = (height, width)
        self.layouts = {name: _layout(entry, height, width) for name, entry in rig.cameras.items()}
        self._rig = Rig(
            {
                name: _prepared_camera(entry, self.layouts[name], height, width)
                for name, entry in rig.cameras.items()
            }
        )

    @property
    def rig(self) -> Rig:
        """Calibration of the prepared images."""
        return self._rig

    @property
    def adds_rows(self) -> bool:
        """Whether any camera's prepared image holds rows that its camera did not see."""
        rows = self.image_size[0]
        return any(layout.visible_rows(rows) != slice(0, rows) for layout in self.layouts.values())

    @cached_property
    def resize(self) -> ImageResize:
        """What prepares raw() images inside an engine that takes them so.

        Its answers are those of prepare, or differ by one grey level where OpenCV itself rounds
        sums of fractions.
        """
        cameras = [entry.camera for entry in self.source_rig.cameras.values()]
        tops = [(layout.scaled_height, layout.top) for layout in self.layouts.values()]
        return resize_matrices(
            [(camera.height, camera.width) for camera in cameras], tops, self.image_size
        )

    def raw(self, frame_set: FrameSet) -> PreparedSet:
        """The images of a set as they are, beside each other, for an engine that resizes them.

        Smaller images than the largest are at the top left of their place. The memory is used
        again by the next call.

        Raises:
            CalibrationError: see prepare.
        """
        present = np.zeros(len(self.source_rig), dtype=bool)
        self._check_names(frame_set)
        for index, name in enumerate(self.source_rig.names):
            frame = frame_set.frames.get(name)
            if frame is not None:
                check_size(frame, self.source_rig[name])
                height, width = frame.image.shape[:2]
                self._raw_images[index, :height, :width] = frame.image
                present[index] = True
        return PreparedSet(self._raw_images, present)

    @cached_property
    def _raw_images(self) -> NDArray[np.uint8]:
        return np.zeros((len(self.source_rig), *self.resize.source_size, 3), dtype=np.uint8)

    def empty_images(self) -> NDArray[np.uint8]:
        """A buffer (S, H, W, 3) of zeros that prepare can be given again and again."""
        return np.zeros((len(self.source_rig), *self.image_size, 3), dtype=np.uint8)

    def prepare(
        self,
        frame_set: FrameSet,
        out: NDArray[np.uint8] | None = None,
        helper: Executor | None = None,
    ) -> PreparedSet:
        """Network input of a set.

        Args:
            frame_set: frames by camera; cameras without a frame become zeros, not present.
            out: buffer of empty_images() to write into; default a new one.
            helper: does every other image in a thread of its own.

        Raises:
            CalibrationError: a frame's camera is not in the rig, or its size is not the
                calibrated one.
        """
        images = self.empty_images() if out is None else out
        present = np.zeros(len(self.source_rig), dtype=bool)
        self._check_names(frame_set)
        tasks = []
        for index, name in enumerate(self.source_rig.names):
            frame = frame_set.frames.get(name)
            if frame is None:
                images[index] = 0
                continue
            check_size(frame, self.source_rig[name])
            tasks.append((frame.image, self.layouts[name], images[index]))
            present[index] = True
        if helper is None or len(tasks) < 2:
            self._scaler.prepare_images(tasks)
        else:
            half = helper.submit(self._helpers_scaler.prepare_images, tasks[1::2])
            self._scaler.prepare_images(tasks[::2])
            half.result()
        return PreparedSet(images, present)

    def _check_names(self, frame_set: FrameSet) -> None:
        unknown = [name for name in frame_set.frames if name not in self.source_rig.cameras]
        if unknown:
            raise CalibrationError(
                f"images of cameras {', '.join(unknown)}, but the rig knows only "
                f"{', '.join(self.source_rig.names)}"
            )


class _Scaler:
    """Scales images, with buffers that one thread at a time may use."""

    def __init__(self) -> None:
        self._shrinks: dict[tuple[tuple[int, ...], tuple[int, ...]], AreaShrink] = {}

    def prepare_images(
        self, tasks: Iterable[tuple[NDArray[np.uint8], RowLayout, NDArray[np.uint8]]]
    ) -> None:
        """Of each task the image, by the layout, into the array (height, width, 3)."""
        for image, layout, out in tasks:
            self._prepare_image(image, layout, out)

    def _prepare_image(
        self, image: NDArray[np.uint8], layout: RowLayout, out: NDArray[np.uint8]
    ) -> None:
        height, width = out.shape[:2]
        scaled_size = (layout.scaled_height, width)
        rows = layout.visible_rows(height)
        out[: rows.start] = 0
        out[rows.stop :] = 0
        if image.shape[:2] == scaled_size:
            out[rows] = image[max(0, layout.top) :][: rows.stop - rows.start]
        elif layout.scaled_height <= height:
            self._scale(image, out[rows])
        else:
            scaled = np.empty((*scaled_size, 3), dtype=np.uint8)
            self._scale(image, scaled)
            out[:] = scaled[layout.top : layout.top + height]

    def _scale(self, image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        source, target = image.shape[:2], out.shape[:2]
        if AreaShrink.can_shrink(source, target):
            if (source, target) not in self._shrinks:
                self._shrinks[source, target] = AreaShrink(source, target)
            self._shrinks[source, target](image, out)
        else:
            shrinks = target[1] < source[1]
            interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            cv2.resize(image, target[::-1], dst=out, interpolation=interpolation)


def check_size(frame: CameraFrame, rig_camera: RigCamera) -> None:
    """Raises CalibrationError unless the image is RGB uint8 of the calibrated size."""
    image, camera = frame.image, rig_camera.camera
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise CalibrationError(
            f"camera {frame.camera}: image must be (height, width, 3) uint8 RGB, "
            f"got shape {image.shape} {image.dtype}"
        )
    if image.shape[:2] != (camera.height, camera.width):
        raise CalibrationError(
            f"camera {frame.camera}: image is {image.shape[1]}x{image.shape[0]} but its "
            f"CameraInfo says {camera.width}x{camera.height} (width x height); calibrate for "
            f"the image that is sent, or send the image that was calibrated"
        )


def horizon_row(rig_camera: RigCamera) -> float | None:
    """Row at which the camera sees the level direction ahead of it; None if it does not.

    Level means the base frame's xy plane.
    """
    ahead = rig_camera.base_T_camera.rotation[:, 2].copy()
    ahead[2] = 0.0
    if np.linalg.norm(ahead) < 0.1:
        return None
    direction = rig_camera.base_T_camera.inverse().rotate(ahead)
    pixel, valid = rig_camera.camera.project(direction)
    return float(pixel[1]) if valid else None


def _layout(rig_camera: RigCamera, height: int, width: int) -> RowLayout:
    camera = rig_camera.camera
    scaled_height = max(1, round(camera.height * width / camera.width))
    surplus = scaled_height - height
    if surplus <= 0:
        return RowLayout(scaled_height, -((-surplus) // 2))
    horizon = horizon_row(rig_camera)
    if horizon is None:
        return RowLayout(scaled_height, surplus // 2)
    scaled_horizon = (horizon + 0.5) * scaled_height / camera.height
    top = round(scaled_horizon - SKY_SHARE * height)
    return RowLayout(scaled_height, int(np.clip(top, 0, surplus)))


def _prepared_camera(
    rig_camera: RigCamera, layout: RowLayout, height: int, width: int
) -> RigCamera:
    scaled = rig_camera.camera.resized(width, layout.scaled_height)
    cropped = scaled.cropped(0, layout.top, width, height)
    return RigCamera(cropped, rig_camera.base_T_camera, rig_camera.frame_id)
