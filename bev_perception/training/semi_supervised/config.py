# SPDX-License-Identifier: Apache-2.0
"""How training uses samples without labels, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from bev_perception.errors import ConfigurationError
from bev_perception.training.augmentation import AugmentationConfig
from bev_perception.training.image_quality import ImageQualityConfig
from bev_perception.training.views import ViewConfig

METHODS = ("none", "mixup", "mixmatch", "remixmatch", "fixmatch")
"""What each does is in docs/semi_supervised.md."""


def strong_augmentation() -> AugmentationConfig:
    """What the student must see through: colours, bad images, turned views, lost cameras."""
    return AugmentationConfig(
        brightness=0.25,
        contrast=0.5,
        gamma=0.5,
        tint=0.25,
        quality=ImageQualityConfig(
            share=0.5, blur_px=1.5, exposure_stops=1.0, noise=0.06, jpeg_quality=20
        ),
        views=ViewConfig(turn_deg=3.0, roll_deg=2.0, zoom=0.1, shift=0.05),
        camera_dropout=0.15,
    )


@dataclass(frozen=True)
class SemiSupervisedConfig:
    """Learning with samples that have no labels.

    Attributes:
        method: one of METHODS; "none" learns from labels alone.
        ratio: samples without labels per labelled one, in every step.
        weight: factor of their loss.
        ramp_steps: optimiser steps over which that factor rises from 0.
        occupied_threshold: fixmatch learns "occupied" from cells for which the teacher knows of
            at least this probability, see guesses.known.
        free_threshold: and "free" from those with at most this one.
        sharpening: temperature by which mixmatch and remixmatch sharpen guesses, sharper below 1.
        mix_alpha: both parameters of the Beta distribution that mixing weights are drawn from.
        copies: how many weak (mixmatch) or strong (remixmatch) variations of a sample are used.
        teacher_decay: decay per step of the averaged weights that guess.
        turn_weight: factor of remixmatch's loss for telling by how many quarter turns a vehicle was
            turned, see turn_task; 0 leaves it out.
        strong: variations that the student sees. The teacher sees those of the run's own
            augmentation, without lost cameras. Which side is mirrored and where the vehicle
            looks is drawn once for both, so that their cells are the same places.
    """

    method: str = "none"
    ratio: int = 1
    weight: float = 1.0
    ramp_steps: int = 500
    occupied_threshold: float = 0.8
    free_threshold: float = 0.05
    sharpening: float = 0.5
    mix_alpha: float = 0.75
    copies: int = 2
    teacher_decay: float = 0.99
    turn_weight: float = 0.0
    strong: AugmentationConfig = field(default_factory=strong_augmentation)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigurationError(
                f"unknown method {self.method!r}, expected one of {', '.join(METHODS)}"
            )
        for name in ("ratio", "copies"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("weight", "ramp_steps", "turn_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("sharpening", "mix_alpha"):
            if not getattr(self, name) > 0.0:
                raise ConfigurationError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0.0 <= self.free_threshold < self.occupied_threshold <= 1.0:
            raise ConfigurationError(
                f"free_threshold must be less than occupied_threshold, both in 0 to 1, got "
                f"{self.free_threshold} and {self.occupied_threshold}"
            )
        if not 0.0 <= self.teacher_decay < 1.0:
            raise ConfigurationError(
                f"teacher_decay must lie in 0 to 1 (1 excluded), got {self.teacher_decay}"
            )

        if self.turn_weight and self.method != "remixmatch":
            raise ConfigurationError(
                f"turn_weight {self.turn_weight:g} is remixmatch's, got method {self.method}; "
                f"leave it 0"
            )

    @property
    def uses_unlabelled(self) -> bool:
        """Whether samples without labels are looked at."""
        return self.method in ("mixmatch", "remixmatch", "fixmatch")

    @property
    def num_weak(self) -> int:
        """Variations of a sample that the teacher sees."""
        return self.copies if self.method == "mixmatch" else 1

    @property
    def num_strong(self) -> int:
        """Strong variations of a sample that the student sees."""
        return {"remixmatch": self.copies, "fixmatch": 1}.get(self.method, 0)
