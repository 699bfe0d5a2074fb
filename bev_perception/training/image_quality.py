# SPDX-License-Identifier: Apache-2.0
"""What lenses, sensors and compression do to an image: nothing moves, it only gets worse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.prepared_bag import Sample
from bev_perception.errors import ConfigurationError

NOISE_STEPS = 1 << 21
"""Noise values drawn once and used from a new place for every image; drawing costs more."""


@dataclass(frozen=True)
class ImageQualityConfig:
    """How bad images may get, each camera on its own; 0 leaves a part out.

    Attributes:
        share: probability of each of the following, for every image.
        blur_px: largest standard deviation of a Gaussian blur, pixels of the prepared image.
        exposure_stops: largest over- or underexposure, in factors of two of the light.
        noise: largest standard deviation of noise, a share of the full range.
        jpeg_quality: lowest quality of a JPEG compression, 1 to 95.
    """

    share: float = 0.5
    blur_px: float = 0.0
    exposure_stops: float = 0.0
    noise: float = 0.0
    jpeg_quality: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ConfigurationError(f"share must lie in 0 to 1, got {self.share}")
        for name, most in (("blur_px", 20.0), ("exposure_stops", 8.0), ("noise", 1.0)):
            if not 0.0 <= getattr(self, name) <= most:
                raise ConfigurationError(
                    f"{name} must lie in 0 to {most:g}, got {getattr(self, name)}"
                )
        if not 0 <= self.jpeg_quality <= 95:
            raise ConfigurationError(
                f"jpeg_quality must lie in 1 to 95, or be 0 for none, got {self.jpeg_quality}"
            )

    @property
    def changes_anything(self) -> bool:
        """Whether any image may change."""
        parts = (self.blur_px, self.exposure_stops, self.noise, self.jpeg_quality)
        return self.share > 0.0 and any(parts)


def degraded(sample: Sample, config: ImageQualityConfig, random: np.random.Generator) -> Sample:
    """The sample as worse cameras would have taken it: blur, exposure, noise, JPEG, in this order.

    Every strength is uniform between nothing and its bound; cameras that are missing stay black.
    """
    images = np.array(sample.images)
    for index in np.flatnonzero(sample.present):
        images[index] = degraded_image(images[index], config, random)
    return replace(sample, images=images)


def degraded_image(
    image: NDArray[np.uint8], config: ImageQualityConfig, random: np.random.Generator
) -> NDArray[np.uint8]:
    """One image (H, W, 3), see degraded."""
    chosen = random.random(4) < config.share
    strength = random.random(4)
    start = int(random.integers(NOISE_STEPS))
    if chosen[0] and config.blur_px:
        image = blurred(image, config.blur_px * strength[0])
    if chosen[1] and config.exposure_stops:
        image = exposed(image, config.exposure_stops * (2.0 * strength[1] - 1.0))
    if chosen[2] and config.noise:
        image = noisy(image, config.noise * strength[2], start)
    if chosen[3] and config.jpeg_quality:
        quality = config.jpeg_quality + (95 - config.jpeg_quality) * (1.0 - strength[3])
        image = compressed(image, round(quality))
    return image


def blurred(image: NDArray[np.uint8], sigma_px: float) -> NDArray[np.uint8]:
    """Out of focus: a Gaussian of this standard deviation, the border repeated."""
    if sigma_px <= 0.05:
        return image
    blurry = cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurry, dtype=np.uint8)


def exposed(image: NDArray[np.uint8], stops: float) -> NDArray[np.uint8]:
    """With 2^stops times the light; values are taken to be light to the power of 1 / 2.2."""
    values = np.linspace(0.0, 1.0, 256) * 2.0 ** (stops / 2.2)
    table = np.rint(255.0 * values.clip(0.0, 1.0)).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8)


def noisy(image: NDArray[np.uint8], deviation: float, start: int) -> NDArray[np.uint8]:
    """With Gaussian noise in every value.

    Args:
        image: (H, W, 3) uint8.
        deviation: standard deviation, a share of the full range.
        start: where in the noise drawn beforehand this image's begins; any number.
    """
    noise = np.take(_noise(), np.arange(start, start + image.size), mode="wrap")
    noise = noise.reshape(image.shape) * np.float32(255.0 * deviation)
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), dtype=np.uint8)


def compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Through a JPEG file of this quality, 1 to 100."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


@lru_cache(maxsize=1)
def _noise() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(NOISE_STEPS, dtype=np.float32)
