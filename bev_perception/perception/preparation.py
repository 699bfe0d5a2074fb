# SPDX-License-Identifier: Apache-2.0
"""Camera images to the size that the network takes, and the intrinsics that go with them.

The full horizontal field of view is kept: an image is scaled to the network's width, its
aspect kept to the nearest row. Surplus rows are cut off above as long as a quarter of the
result stays above the horizon, then below: what stands on the ground is around and below the
horizon. Missing rows repeat the first and the last one, by halves, so that the horizon stays near
the middle: an edge would be a feature, and black would move the means that networks norm by. Lens
distortion stays in the camera model, where the lift uses it.

A network with a canonical rig gets images that are turned to it instead, see rectification.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import CalibrationError, ConfigurationError
from bev_perception.geometry import CameraFrame, FrameSet, Rig, RigCamera
from bev_perception.geometry.rig_record import rig_hash
from bev_perception.geometry.virtual_camera import VirtualCamera
from bev_perception.model import ImageResize
from bev_perception.perception.rectification import Rectification
from bev_perception.perception.resize_matrices import resize_matrices
from bev_perception.perception.row_layout import laid_out_camera, row_layout
from bev_perception.perception.scaler import Scaler, Task


@dataclass(frozen=True)
class PreparedSet:
    """Network input of one moment.

    Attributes:
        images: (S, H, W, 3) uint8 RGB in the rig's order; zeros where missing.
        present: (S,) bool.
        rig_id: rig_hash of the prepared images' rig.
    """

    images: NDArray[np.uint8]
    present: NDArray[np.bool_]
    rig_id: str = ""


class Preparation:
    """Scales, crops and pads the images of one rig. To be used by one thread at a time.

    Args:
        rig: calibration of the images as they come.
        image_size: (height, width) of the network's input.
        virtual_cameras: the network's canonical rig; empty for images as the cameras look.

    Raises:
        CalibrationError: a camera looks past the canonical rig.
    """

    def __init__(
        self,
        rig: Rig,
        image_size: tuple[int, int],
        virtual_cameras: Sequence[VirtualCamera] = (),
    ) -> None:
        height, width = int(image_size[0]), int(image_size[1])
        if height < 1 or width < 1:
            raise ConfigurationError(f"image size must be positive, got {height}x{width}")
        self.source_rig = rig
        self._scaler, self._helpers_scaler = Scaler(), Scaler()
        self.image_size = (height, width)
        self.layouts = {
            name: row_layout(entry, height, width) for name, entry in rig.cameras.items()
        }
        self._rectifications = {
            name: Rectification(name, entry, virtual_cameras, self.image_size)
            for name, entry in rig.cameras.items()
            if virtual_cameras
        }
        self._rig = Rig(
            {
                name: self._rectifications[name].camera
                if virtual_cameras
                else laid_out_camera(entry, self.layouts[name], height, width)
                for name, entry in rig.cameras.items()
            }
        )

    @property
    def rig(self) -> Rig:
        """Calibration of the prepared images."""
        return self._rig

    @cached_property
    def rig_id(self) -> str:
        """By which images, resize matrices and lift tables are known to belong together."""
        return rig_hash(self._rig)

    @property
    def turns(self) -> bool:
        """Whether images are turned to a canonical rig."""
        return bool(self._rectifications)

    def mounted(self, rig: Rig) -> Rig:
        """Calibration of the prepared images at a moment at which the cameras stand otherwise.

        Args:
            rig: the mountings of that moment; intrinsics are those that the preparation knows.
        """
        if not self.turns:
            return rig
        return Rig(
            {
                name: turned.mounted(turned.camera, rig[name].base_T_camera)
                for name, turned in self._rectifications.items()
            }
        )

    @property
    def adds_rows(self) -> bool:
        """Whether any prepared image holds rows that its camera did not see.

        Images that are turned have windows for that, which lifts know.
        """
        if self.turns:
            return False
        rows = self.image_size[0]
        return any(layout.visible_rows(rows) != slice(0, rows) for layout in self.layouts.values())

    @cached_property
    def resize(self) -> ImageResize:
        """What prepares raw() images inside an engine that takes them so.

        Its answers are those of prepare, or differ by one grey level where OpenCV rounds shares or
        sums of fractions.

        Raises:
            ConfigurationError: images are turned, which no resize does.
        """
        if self.turns:
            raise ConfigurationError(
                "images for this network are turned to its virtual_cameras, which an engine's "
                "graph cannot do; let it take prepared images, as resize host does"
            )
        cameras = [entry.camera for entry in self.source_rig.cameras.values()]
        tops = [(layout.scaled_height, layout.top) for layout in self.layouts.values()]
        sizes = [(camera.height, camera.width) for camera in cameras]
        return replace(resize_matrices(sizes, tops, self.image_size), rig_id=self.rig_id)

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
        return PreparedSet(self._raw_images, present, self.rig_id)

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
        tasks: list[Task] = []
        for index, name in enumerate(self.source_rig.names):
            frame = frame_set.frames.get(name)
            if frame is None:
                images[index] = 0
                continue
            check_size(frame, self.source_rig[name])
            how = self._rectifications.get(name, self.layouts[name])
            tasks.append((frame.image, how, images[index]))
            present[index] = True
        if helper is None or len(tasks) < 2:
            self._scaler.prepare_images(tasks)
        else:
            half = helper.submit(self._helpers_scaler.prepare_images, tasks[1::2])
            self._scaler.prepare_images(tasks[::2])
            half.result()
        return PreparedSet(images, present, self.rig_id)

    def _check_names(self, frame_set: FrameSet) -> None:
        unknown = [name for name in frame_set.frames if name not in self.source_rig.cameras]
        if unknown:
            raise CalibrationError(
                f"images of cameras {', '.join(unknown)}, but the rig knows only "
                f"{', '.join(self.source_rig.names)}"
            )


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
