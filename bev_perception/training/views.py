# SPDX-License-Identifier: Apache-2.0
"""Other views from the same place: cameras turned, zoomed, shifted, calibration and all.

Turning a camera about its optical centre, resizing its image and cutting another window out
of it show nothing new, so the image can be made exactly from the old one, whatever the scene.
Only the edges have nothing to show: they become black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.prepared_bag import Sample
from bev_perception.datasets.rendered_view import render_view
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig, RigCamera, RigidTransform
from bev_perception.geometry.window import Window


@dataclass(frozen=True)
class ViewConfig:
    """How far the views of a sample may differ from the recorded ones; 0 leaves a part out.

    Attributes:
        turn_deg: largest pitch and yaw of each camera, each on its own, degrees.
        roll_deg: largest turn of each image in its plane, degrees.
        body_pitch_deg, body_roll_deg: largest turns of all cameras together, as a vehicle
            that brakes or leans turns them, degrees. The calibration says so.
        zoom: largest change of the focal length, a share: 0.2 resizes by 0.8 to 1.2.
        shift: largest shift of the window that is cut out, a share of the image's sides.
        share: of the samples whose views differ at all. The others stay as sharp as they were
            taken, which no picture made from another one is.
        variants: so many different draws in all, so that tables and maps can be kept; 0 draws
            anew for every sample.
    """

    turn_deg: float = 0.0
    roll_deg: float = 0.0
    body_pitch_deg: float = 0.0
    body_roll_deg: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    share: float = 1.0
    variants: int = 0

    def __post_init__(self) -> None:
        for name in ("turn_deg", "roll_deg", "body_pitch_deg", "body_roll_deg"):
            if not 0.0 <= getattr(self, name) <= 45.0:
                raise ConfigurationError(f"{name} must lie in 0 to 45, got {getattr(self, name)}")
        for name in ("zoom", "shift"):
            if not 0.0 <= getattr(self, name) <= 0.5:
                raise ConfigurationError(f"{name} must lie in 0 to 0.5, got {getattr(self, name)}")
        if not 0.0 <= self.share <= 1.0:
            raise ConfigurationError(f"share must lie in 0 to 1, got {self.share}")
        if self.variants < 0:
            raise ConfigurationError(f"variants must not be negative, got {self.variants}")

    @property
    def changes_anything(self) -> bool:
        """Whether any view differs from the recorded one."""
        turns = (self.turn_deg, self.roll_deg, self.body_pitch_deg, self.body_roll_deg)
        return self.share > 0.0 and any((*turns, self.zoom, self.shift))


@dataclass(frozen=True)
class View:
    """How one camera's view differs from the recorded one.

    Attributes:
        old_T_new: turn about the optical centre, from the new optical frame to the old one.
        zoom: factor on the focal length, about the image's middle.
        shift: (right, down) by which the picture moves, shares of width and height.
    """

    old_T_new: RigidTransform
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)


def drawn_views(rig: Rig, config: ViewConfig, random: np.random.Generator) -> tuple[View, ...]:
    """One view per camera, every value uniform within its bounds."""
    if config.variants:
        random = np.random.default_rng((int(random.integers(config.variants)), len(rig)))
    roll, pitch = np.radians((config.body_roll_deg, config.body_pitch_deg)) * _signed(random, 2)
    body = RigidTransform.from_euler(roll, pitch)
    bounds = np.radians((config.turn_deg, config.turn_deg, config.roll_deg))
    views = []
    for entry in rig.cameras.values():
        turn = RigidTransform.from_euler(*(bounds * _signed(random, 3)))
        zoom = 1.0 + config.zoom * _signed(random)
        right, down = config.shift * _signed(random, 2)
        mounting = RigidTransform(entry.base_T_camera.rotation, np.zeros(3))
        leaning = mounting.inverse() @ body @ mounting
        views.append(View(leaning @ turn, float(zoom[0]), (float(right), float(down))))
    return tuple(views)


def with_views(sample: Sample, views: Sequence[View]) -> Sample:
    """The sample that cameras with these views would have taken, one view per camera."""
    cameras, images = {}, np.zeros_like(sample.images)
    for index, (name, entry) in enumerate(sample.rig.cameras.items()):
        new = viewed(entry, views[index])
        cameras[name] = new
        if sample.present[index]:
            old_T_new = views[index].old_T_new
            render_view(sample.images[index], entry.camera, new.camera, old_T_new, images[index])
    return replace(sample, images=images, rig=Rig(cameras))


def viewed(entry: RigCamera, view: View) -> RigCamera:
    """Calibration of a view; the camera stays at its place."""
    camera, zoom = entry.camera, view.zoom
    matrix = camera.matrix.copy()
    matrix[:2, :2] *= zoom
    size = np.array([camera.width, camera.height])
    # The window's first pixel, after a resize that keeps the outer edges at -0.5 and size - 0.5.
    first = (zoom - 1.0) * size / 2.0 - np.array(view.shift) * size
    matrix[:2, 2] = (camera.matrix[:2, 2] + 0.5) * zoom - 0.5 - first
    pose, window = entry.base_T_camera @ view.old_T_new, camera.window
    if window is not None:
        window = Window(camera, view.old_T_new.rotation)
    return RigCamera(replace(camera, matrix=matrix, window=window), pose, entry.frame_id)


def _signed(random: np.random.Generator, count: int = 1) -> NDArray[np.float64]:
    return random.uniform(-1.0, 1.0, size=count)
