# SPDX-License-Identifier: Apache-2.0
"""Variations of a sample that keep images, calibration and boxes true to each other."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.prepared_bag import Sample
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import RigidTransform
from bev_perception.training.mirroring import mirrored_box, mirrored_rig
from bev_perception.training.views import drawn_turns, with_turned_cameras


@dataclass(frozen=True)
class AugmentationConfig:
    """Which variations training draws; evaluation uses none.

    Attributes:
        mirror: exchange left and right in half of the samples.
        turn_steps: turn the vehicle frame by a multiple of 360 / turn_steps degrees; 1 never
            turns. Few steps, so that the tables of the lift can be kept.
        view_variants: how many slightly turned mountings of the cameras to draw; 0 keeps them.
        view_angle_deg: largest turn of each camera about each of its axes, degrees.
        brightness: largest shift, share of the full range.
        contrast, gamma, tint: largest change of contrast, of the exponent, and of each colour
            channel's gain, as a share.
        camera_dropout: probability that a camera is lost, each on its own; one always stays.
    """

    mirror: bool = True
    turn_steps: int = 1
    view_variants: int = 0
    view_angle_deg: float = 1.5
    brightness: float = 0.1
    contrast: float = 0.2
    gamma: float = 0.2
    tint: float = 0.1
    camera_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.turn_steps < 1:
            raise ConfigurationError(f"turn_steps must be at least 1, got {self.turn_steps}")
        if self.view_variants < 0 or not 0.0 <= self.view_angle_deg <= 45.0:
            raise ConfigurationError(
                f"view_variants must not be negative and view_angle_deg must lie in 0 to 45, got "
                f"{self.view_variants} and {self.view_angle_deg}"
            )
        for name in ("brightness", "contrast", "gamma", "tint", "camera_dropout"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise ConfigurationError(f"{name} must lie in 0 to 1 (1 excluded), got {value}")

    @property
    def changes_color(self) -> bool:
        """Whether any pixel value may change."""
        return any((self.brightness, self.contrast, self.gamma, self.tint))


def augmented(sample: Sample, config: AugmentationConfig, random: np.random.Generator) -> Sample:
    """A variation of a sample, drawn with the given generator."""
    if config.view_variants:
        variant = int(random.integers(config.view_variants))
        turns = drawn_turns(variant, len(sample.rig), config.view_angle_deg)
        sample = with_turned_cameras(sample, turns)
    turn = int(random.integers(config.turn_steps))
    sample = turned(sample, 2.0 * np.pi * turn / config.turn_steps)
    if config.mirror and random.random() < 0.5:
        sample = mirrored(sample)
    if config.camera_dropout > 0.0:
        sample = without_cameras(sample, _drawn_losses(sample.present, config, random))
    if config.changes_color:
        table = color_table(config, random)
        images = cv2.LUT(sample.images.reshape(-1, sample.images.shape[2], 3), table)
        images = np.asarray(images, dtype=np.uint8).reshape(sample.images.shape)
        images[~sample.present] = 0
        sample = Sample(images, sample.present, sample.rig, sample.objects)
    return sample


def mirrored(sample: Sample) -> Sample:
    """Left and right exchanged, see training.mirroring."""
    return Sample(
        images=sample.images[:, :, ::-1],
        present=sample.present,
        rig=mirrored_rig(sample.rig),
        objects=tuple(mirrored_box(box) for box in sample.objects),
    )


def turned(sample: Sample, yaw: float) -> Sample:
    """The same moment seen from a vehicle frame turned by -yaw: all around turns by yaw."""
    if yaw == 0.0:
        return sample
    turned_T_base = RigidTransform.from_euler(yaw=yaw)
    return Sample(
        images=sample.images,
        present=sample.present,
        rig=sample.rig.moved(turned_T_base),
        objects=tuple(box.transformed(turned_T_base) for box in sample.objects),
    )


def without_cameras(sample: Sample, lost: NDArray[np.bool_]) -> Sample:
    """The cameras (S,) marked lost give no image, as when a driver fails."""
    if not lost.any():
        return sample
    images = np.array(sample.images)
    images[lost] = 0
    return Sample(images, sample.present & ~lost, sample.rig, sample.objects)


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
