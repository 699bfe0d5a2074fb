# SPDX-License-Identifier: Apache-2.0
"""Red and blue in each other's place, told by foliage.

Leaves absorb blue even more than red: whatever is clearly green in a picture of the outdoors has
more red than blue in it, in sun and shade. With the channels swapped it has less. A single image
may show a teal wall, so many images must agree, and a clearly blue sky acquits them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import Observation
from bev_perception.doctor.sight import decoded

GREENER = 1.2
"""Green is so many times the larger one of red and blue in what is taken for foliage."""
SWAPPED = -0.04
"""Mean (R - B) / (R + B) of foliage from which it is too blue; of 71 sound recordings the lowest
was +0.003."""
SWAPPED_ALONE, SOUND = -0.06, 0.03
"""For one camera against the others: of 231 sound ones the lowest was -0.016."""
FEWEST_IMAGES, _FEWEST_ALONE = 8, 4
SHARE, CAMERA_SHARE = 0.01, 0.005
"""Foliage among all pixels of the recording, and of a camera that has a say."""
BLUE_SKY, SKY_SHARE = 0.02, 0.02
_DARKEST_GREEN, _DARKEST_SKY, _COLOURED, _SKY_ROWS = 30, 110, 0.04, 0.3
_STEP = 4


@dataclass(frozen=True)
class Colours:
    """What the pixels of one camera's images say.

    Attributes:
        images: how many.
        foliage, sky: shares of all pixels; sky that has a colour.
        redness: mean (R - B) / (R + B) of foliage.
        blueness: mean (B - R) / (R + B) of that sky.
    """

    images: int
    foliage: float
    redness: float
    sky: float
    blueness: float

    @classmethod
    def of(cls, images: Sequence[NDArray[np.uint8]]) -> Colours:
        """Of images (H, W, 3) RGB of one size."""
        pixels = np.stack([image[::_STEP, ::_STEP] for image in images]).astype(np.float32)
        red, green, blue = np.moveaxis(pixels, -1, 0)
        brightest = pixels.max(axis=-1)
        redness = (red - blue) / np.maximum(red + blue, 1.0)
        foliage = (green > GREENER * np.maximum(red, blue)) & (brightest > _DARKEST_GREEN)
        sky = (brightest > _DARKEST_SKY) & (np.abs(redness) > _COLOURED)
        sky[:, int(_SKY_ROWS * sky.shape[1]) :] = False
        return cls(
            len(images),
            float(foliage.mean()),
            float(redness[foliage].mean()) if foliage.any() else 0.0,
            float(sky.mean()),
            float(-redness[sky].mean()) if sky.any() else 0.0,
        )


def check_colours(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Whether red and blue are swapped, for all cameras or one."""
    colours = {}
    for name, track in seen.cameras.items():
        images = [image for image in map(decoded, track.samples) if image is not None]
        images = [image for image in images if image.shape == images[0].shape]
        if images:
            colours[name] = Colours.of(images)
    for name in swapped_cameras(colours):
        yield _finding(name, colours)


def swapped_cameras(colours: Mapping[str, Colours]) -> list[str]:
    """Names of the cameras whose red and blue are swapped; an empty name for all of them."""
    speaking = {name: each for name, each in colours.items() if each.foliage >= CAMERA_SHARE}
    sound = [n for n, each in speaking.items() if each.redness > SOUND and each.foliage >= SHARE]
    alone = [
        name
        for name, each in speaking.items()
        if each.redness < SWAPPED_ALONE and each.foliage >= SHARE and each.images >= _FEWEST_ALONE
    ]
    if len(alone) == 1 and len(sound) >= 2 and len(sound) + 1 == len(speaking):
        return alone
    return [""] if _all_swapped(colours, speaking) else []


def _all_swapped(colours: Mapping[str, Colours], speaking: Mapping[str, Colours]) -> bool:
    if sum(each.images for each in colours.values()) < FEWEST_IMAGES:
        return False
    share, redness = _pooled(colours, "foliage", "redness")
    sky, blueness = _pooled(colours, "sky", "blueness")
    too_blue = [each for each in speaking.values() if each.redness < SWAPPED]
    return (
        share >= SHARE
        and redness < SWAPPED
        and len(too_blue) >= 2
        and all(each.redness <= 0.0 for each in speaking.values())
        and not (sky > SKY_SHARE and blueness > BLUE_SKY)
    )


def _pooled(colours: Mapping[str, Colours], share: str, value: str) -> tuple[float, float]:
    """Share of a kind of pixels in all images, and the mean of a value over them."""
    images = sum(each.images for each in colours.values())
    parts = [
        (each.images * getattr(each, share), getattr(each, value)) for each in colours.values()
    ]
    total = sum(part for part, _ in parts)
    return total / images, sum(part * mean for part, mean in parts) / max(total, 1e-9)


def _finding(camera: str, colours: Mapping[str, Colours]) -> Finding:
    share, redness = _pooled({camera: colours[camera]} if camera else colours, "foliage", "redness")
    whose = "this camera's" if camera else "all cameras'"
    others = "; the other cameras' has more" if camera else ""
    return Finding(
        check="image-colours",
        severity=Severity.WARNING,
        camera=camera,
        seen=f"{whose} foliage ({100 * share:.1f} % of the pixels) has less red than blue: "
        f"(R - B) / (R + B) is {redness:+.2f} on average{others}",
        expected="above 0: leaves absorb blue more than red",
        cause="red and blue are swapped: images that say rgb8 but are bgr8, or the other way round",
        fix="look at the picture's colours; correct the encoding that the camera's driver writes. "
        "Nothing is wrong if the scene is full of teal surfaces",
    )
