# SPDX-License-Identifier: Apache-2.0
"""Images as a canonical rig would have taken them, so that mountings look alike to a network.

Every camera is turned, at its own place, to the direction of the canonical rig that is nearest
to its own, and its image is that of an ideal camera of the canonical field of view. A turn about
the optical centre shows nothing new, so the image is exact whatever the scene: one look-up of the
lens model per pixel. The place stays the camera's own; the lift knows it.

Pixels that the real camera did not see repeat the nearest that it saw, and are no evidence: lifts
leave them out, by the window of the virtual camera. Black ones would change what is seen, too: the
networks norm by means over images. An image that is finer than the virtual camera's is averaged
down before it is looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from bev_perception.errors import CalibrationError
from bev_perception.geometry import PinholeCamera, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.virtual_camera import VirtualCamera
from bev_perception.geometry.window import Window

LEAST_SEEN = 0.1
"""Share of a virtual image that its camera must see."""

SHARPER = 1.2
"""How many times finer than the virtual image an image may be without being averaged down."""


class Rectification:
    """Turns the images of one camera.

    Args:
        name: of the camera, for errors.
        source: calibration of the images as they come.
        virtual_cameras: the canonical rig, not empty.
        image_size: (height, width) of virtual images.

    Raises:
        CalibrationError: the camera looks past every direction of the canonical rig.

    Attributes:
        camera: calibration of virtual images, with a window of what the real camera sees.
        seen: (H, W) bool, read-only; pixels that the camera sees.
    """

    def __init__(
        self,
        name: str,
        source: RigCamera,
        virtual_cameras: Sequence[VirtualCamera],
        image_size: tuple[int, int],
    ) -> None:
        height, width = image_size
        chosen, base_T_optical = _nearest(source, virtual_cameras)
        ideal = PinholeCamera.from_field_of_view(width, height, chosen.horizontal_fov_deg)
        self._source_T_virtual = RigidTransform(
            (source.base_T_camera.inverse() @ base_T_optical).rotation, np.zeros(3)
        )
        shrunk = _shrunk(source.camera, ideal)
        self._shrunk_size = None if shrunk is source.camera else (shrunk.width, shrunk.height)
        pixels = _looked_up(shrunk, ideal, self._source_T_virtual)
        self.seen = shrunk.contains(pixels)
        self.seen.setflags(write=False)
        if not self.seen.all():
            ideal = replace(ideal, window=Window(shrunk, self._source_T_virtual.rotation))
        self.camera = self.mounted(replace(source, camera=ideal), source.base_T_camera)
        if self.seen.mean() < LEAST_SEEN:
            raise CalibrationError(
                f"camera {name} sees {100 * self.seen.mean():.0f} % of the virtual camera next to "
                f"its direction (yaw {chosen.yaw_deg:g}, pitch {chosen.pitch_deg:g} degrees); add "
                f"a direction to the model's virtual_cameras, or leave the camera out of the rig"
            )
        if not self.seen.all():
            pixels = pixels[tuple(_nearest_of(self.seen))]
        u, v = pixels.astype(np.float32).transpose(2, 0, 1)
        self._map, self._fractions = cv2.convertMaps(u.copy(), v.copy(), cv2.CV_16SC2)

    def mounted(self, virtual: RigCamera, base_T_source: RigidTransform) -> RigCamera:
        """A virtual camera where and as the real one is mounted at some moment."""
        return replace(virtual, base_T_camera=base_T_source @ self._source_T_virtual)

    def __call__(self, image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        """Writes the virtual image (H, W, 3) of an image of the calibrated size."""
        if self._shrunk_size is not None:
            image = cv2.resize(image, self._shrunk_size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        lookup = (self._map, self._fractions, cv2.INTER_LINEAR)
        cv2.remap(image, *lookup, dst=out, borderMode=cv2.BORDER_REPLICATE)


def _nearest_of(seen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(2, H, W) row and column of the seen pixel that is nearest to each pixel."""
    indices: NDArray[np.intp] = distance_transform_edt(
        ~seen, return_distances=False, return_indices=True
    )
    return indices


def _nearest(
    source: RigCamera, virtual_cameras: Sequence[VirtualCamera]
) -> tuple[VirtualCamera, RigidTransform]:
    """The direction nearest to the camera's own, and its optical frame in base_link."""
    turns = [
        RigidTransform.from_euler(*np.radians((one.roll_deg, one.pitch_deg, one.yaw_deg)))
        @ BODY_T_OPTICAL
        for one in virtual_cameras
    ]
    axis = source.base_T_camera.rotation[:, 2]
    best = int(np.argmax([turn.rotation[:, 2] @ axis for turn in turns]))
    return virtual_cameras[best], turns[best]


def _shrunk(source: PinholeCamera, ideal: PinholeCamera) -> PinholeCamera:
    """The camera of the source's images, averaged down to about the virtual image's fineness."""
    scale = ideal.fx / source.fx
    if scale * SHARPER >= 1.0:
        return source
    return source.resized(round(source.width * scale), round(source.height * scale))


def _looked_up(
    source: PinholeCamera, ideal: PinholeCamera, source_T_virtual: RigidTransform
) -> NDArray[np.float64]:
    """(H, W, 2) pixels of the source at the virtual image's pixels; NaN where it has none."""
    columns, rows = np.meshgrid(np.arange(ideal.width), np.arange(ideal.height))
    rays = ideal.unproject(np.stack([columns, rows], axis=-1))
    pixels, _ = source.project(source_T_virtual.rotate(rays))
    return pixels
