# SPDX-License-Identifier: Apache-2.0
"""All images of a bag at a glance: stamps, sizes, and which of them cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bev_perception.bags.compressed_images import decoded_image
from bev_perception.bags.encoded_image import encoded_size, is_damaged_png
from bev_perception.bags.recorded_bag import RecordedBag, RecordedImage
from bev_perception.datasets.stamp_order import doubled_spans, wrong_stamps
from bev_perception.errors import BevError
from bev_perception.geometry import CameraFrame, Rig, RigCamera
from bev_perception.parallel import stop_if_asked
from bev_perception.perception import camera_health

_PLAIN_BYTES, _PLAIN_BYTES_PER_PIXEL = 1024, 0.05
"""An encoded image under their sum may show nothing at all, and is decoded to find out."""


@dataclass(frozen=True)
class ImageNote:
    """One image as the plan of a drive knows it.

    Attributes:
        camera: in the rig.
        stamp_ns: time of exposure.
        log_ns: time of recording; with camera and stamp it names the image.
        num_bytes: of its message.
        problem: why it cannot be used; empty when it can.
    """

    camera: str
    stamp_ns: int
    log_ns: int
    num_bytes: int
    problem: str = ""


@dataclass
class ImageSurvey:
    """What a pass over the images found.

    Attributes:
        images: in the order of recording; those with wrong stamps left out.
        doubled: spans of time that stamps ran through twice.
        wrong_stamps: images left out because their stamp is out of line, by camera.
    """

    images: list[ImageNote] = field(default_factory=list)
    doubled: list[tuple[int, int]] = field(default_factory=list)
    wrong_stamps: dict[str, int] = field(default_factory=dict)


def survey_images(bag: RecordedBag, rig: Rig) -> ImageSurvey:
    """Reads all images once; decodes only raw ones, mosaics and suspicious ones.

    Raises:
        BagError: the bag is damaged.
    """
    found: list[ImageNote] = []
    for image in bag.recorded_images():
        stop_if_asked()
        name = image.topics.name
        problem = _problem(bag, image, rig[name])
        found.append(ImageNote(name, image.stamp_ns, image.log_ns, len(image.raw), problem))
    survey = ImageSurvey()
    out_of_line: set[int] = set()
    for name in rig.names:
        places = [place for place, note in enumerate(found) if note.camera == name]
        wrong = wrong_stamps([found[place].stamp_ns for place in places])
        if wrong:
            survey.wrong_stamps[name] = len(wrong)
            out_of_line.update(places[index] for index in wrong)
        good = [found[place].stamp_ns for place in places if place not in out_of_line]
        survey.doubled += doubled_spans(good)
    survey.images = [note for place, note in enumerate(found) if place not in out_of_line]
    return survey


def _problem(bag: RecordedBag, image: RecordedImage, entry: RigCamera) -> str:
    """Why an image cannot be used, or nothing."""
    try:
        data = bag.encoded(image)
        if data is None:
            pixels = bag.decoded(image)
        else:
            size = encoded_size(data)
            if size is None:
                return f"an image of {len(data)} bytes is no whole JPEG or PNG"
            expected = entry.camera.width, entry.camera.height
            if size != expected:
                return f"image is {size[0]}x{size[1]}, its calibration for " + "x".join(
                    map(str, expected)
                )
            if is_damaged_png(data):
                return f"a PNG of {len(data)} bytes is damaged"
            if len(data) > _PLAIN_BYTES + _PLAIN_BYTES_PER_PIXEL * size[0] * size[1]:
                return ""
            decoded = decoded_image(np.frombuffer(data, np.uint8))
            if decoded is None:
                return f"an image of {len(data)} bytes does not decode"
            pixels = decoded
    except BevError as error:
        return str(error)
    return camera_health(CameraFrame(image.topics.name, image.stamp_ns, pixels), entry).cause
