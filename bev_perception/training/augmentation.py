# SPDX-License-Identifier: Apache-2.0
"""Variations of a sample that keep images, calibration and boxes true to each other.

The one exception is meant: training.miscalibration tells a rig that is not true.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.prepared_bag import Sample
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.point_values import mirrored_points, moved_points
from bev_perception.training.image_quality import ImageQualityConfig, degraded
from bev_perception.training.mirroring import mirrored_box, mirrored_pose, mirrored_rig
from bev_perception.training.miscalibration import MiscalibrationConfig, miscalibrated
from bev_perception.training.views import ViewConfig, drawn_views, with_views


@dataclass(frozen=True)
class AugmentationConfig:
    """Which variations training draws; evaluation uses none.

    Attributes:
        mirror: exchange left and right in half of the samples.
        turn_steps: turn the vehicle frame by a multiple of 360 / turn_steps degrees; 1 never
            turns.
        views: cameras turned, resized, cropped, and the calibration with them.
        brightness: largest shift, share of the full range.
        contrast, gamma, tint: largest change of contrast, of the exponent, and of each colour
            channel's gain, as a share.
        quality: blur, exposure, noise and JPEG.
        camera_dropout: probability that a camera is lost, each on its own; one always stays.
        cloud_dropout: probability that the point cloud is lost, for networks with a sensor.
        ignore_unseen: leave cells that no camera of the sample sees out of the loss. Else a
            sample that lost a camera teaches to guess what the camera saw.
        shuffle_cameras: bring the cameras into another order. The lift is a mean, so this
            changes nothing but rounding; it proves that.
        miscalibration: the calibration told wrong.
    """

    mirror: bool = True
    turn_steps: int = 1
    views: ViewConfig = field(default_factory=ViewConfig)
    brightness: float = 0.1
    contrast: float = 0.2
    gamma: float = 0.2
    tint: float = 0.1
    quality: ImageQualityConfig = field(default_factory=ImageQualityConfig)
    camera_dropout: float = 0.0
    cloud_dropout: float = 0.0
    ignore_unseen: bool = False
    shuffle_cameras: bool = False
    miscalibration: MiscalibrationConfig = field(default_factory=MiscalibrationConfig)

    def __post_init__(self) -> None:
        if self.turn_steps < 1:
            raise ConfigurationError(f"turn_steps must be at least 1, got {self.turn_steps}")
        for name in _SHARES:
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise ConfigurationError(f"{name} must lie in 0 to 1 (1 excluded), got {value}")

    @property
    def changes_color(self) -> bool:
        """Whether any pixel value may change."""
        return any((self.brightness, self.contrast, self.gamma, self.tint))

    @property
    def repeats_rigs(self) -> bool:
        """Whether the same calibrations come again and again, so that tables are worth keeping."""
        endless_views = self.views.changes_anything and not self.views.variants
        return not endless_views and not self.miscalibration.changes_anything


_SHARES = ("brightness", "contrast", "gamma", "tint", "camera_dropout", "cloud_dropout")


def augmented(sample: Sample, config: AugmentationConfig, random: np.random.Generator) -> Sample:
    """A variation of a sample, drawn with the given generator."""
    if config.views.changes_anything and (
        config.views.share == 1.0 or random.random() < config.views.share
    ):
        sample = with_views(sample, drawn_views(sample.rig, config.views, random))
    turn = int(random.integers(config.turn_steps))
    sample = turned(sample, 2.0 * np.pi * turn / config.turn_steps)
    if config.mirror and random.random() < 0.5:
        sample = mirrored(sample)
    if config.camera_dropout > 0.0:
        sample = without_cameras(sample, _drawn_losses(sample.present, config, random))
    if config.changes_color:
        sample = recolored(sample, color_table(config, random))
    if config.quality.changes_anything:
        sample = degraded(sample, config.quality, random)
    if config.shuffle_cameras:
        sample = reordered(sample, random.permutation(len(sample.rig)))
    if config.miscalibration.changes_anything:
        sample = miscalibrated(sample, config.miscalibration, random)
    if config.cloud_dropout > 0.0 and random.random() < config.cloud_dropout:
        sample = replace(sample, cloud_lost=True)
    return sample


def mirrored(sample: Sample) -> Sample:
    """Left and right exchanged, see training.mirroring."""
    pose = sample.world_T_level
    return replace(
        sample,
        images=sample.images[:, :, ::-1],
        rig=mirrored_rig(sample.rig),
        objects=tuple(mirrored_box(box) for box in sample.objects),
        world_T_level=None if pose is None else mirrored_pose(pose),
        points=None if sample.points is None else mirrored_points(sample.points),
    )


def turned(sample: Sample, yaw: float) -> Sample:
    """The same moment seen from a vehicle frame turned by -yaw: all around turns by yaw."""
    if yaw == 0.0:
        return sample
    turned_T_base = RigidTransform.from_euler(yaw=yaw)
    pose = sample.world_T_level
    return replace(
        sample,
        rig=sample.rig.moved(turned_T_base),
        objects=tuple(box.transformed(turned_T_base) for box in sample.objects),
        world_T_level=None if pose is None else pose @ turned_T_base.inverse(),
        points=None if sample.points is None else moved_points(turned_T_base, sample.points),
    )


def without_cameras(sample: Sample, lost: NDArray[np.bool_]) -> Sample:
    """The cameras (S,) marked lost give no image, as when a driver fails."""
    if not lost.any():
        return sample
    images = np.array(sample.images)
    images[lost] = 0
    return replace(sample, images=images, present=sample.present & ~lost)


def reordered(sample: Sample, order: NDArray[np.int64]) -> Sample:
    """The cameras in another order, (S,) positions in the old one."""
    names = [sample.rig.names[position] for position in order]
    return replace(
        sample,
        images=sample.images[order],
        present=sample.present[order],
        rig=sample.rig.subset(names),
    )


def recolored(sample: Sample, table: NDArray[np.uint8]) -> Sample:
    """Every value of every channel replaced, (1, 256, 3); missing cameras stay black."""
    images = cv2.LUT(sample.images.reshape(-1, sample.images.shape[2], 3), table)
    images = np.asarray(images, dtype=np.uint8).reshape(sample.images.shape)
    images[~sample.present] = 0
    return replace(sample, images=images)


def color_table(config: AugmentationConfig, random: np.random.Generator) -> NDArray[np.uint8]:
    """(1, 256, 3) new value of every value and channel, for all cameras of a set.

    gain_c * (contrast * (x^gamma - 1/2) + 1/2) + shift on x in 0 to 1.
    """
    gamma = np.exp(random.uniform(-1.0, 1.0) * np.log1p(config.gamma))
    contrast = 1.0 + config.contrast * random.uniform(-1.0, 1.0)
    shift = config.brightness * random.uniform(-1.0, 1.0)
    gains = 1.0 + config.tint * random.uniform(-1.0, 1.0, size=3)
    values = np.linspace(0.0, 1.0, 256) ** gamma
    values = gains * (contrast * (values[:, None] - 0.5) + 0.5) + shift
    return np.rint(255.0 * values.clip(0.0, 1.0)).astype(np.uint8)[None]


def _drawn_losses(
    present: NDArray[np.bool_], config: AugmentationConfig, random: np.random.Generator
) -> NDArray[np.bool_]:
    lost = random.random(len(present)) < config.camera_dropout
    if not (present & ~lost).any():
        lost[random.choice(np.flatnonzero(present))] = False
    return lost
