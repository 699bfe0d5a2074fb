# SPDX-License-Identifier: Apache-2.0
"""Whether a camera's CameraInfo makes sense beside its images."""

from __future__ import annotations

from dataclasses import dataclass

from rosbags.interfaces import Connection

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.bag_index import BagIndex
from bev_perception.bags.bag_rig import calibration_of, image_size_error
from bev_perception.bags.compressed_images import image_from_compressed
from bev_perception.bags.discovery import CameraTopics
from bev_perception.bags.images import image_from_message
from bev_perception.errors import BevError
from bev_perception.geometry import PinholeCamera

MAX_PRINCIPAL_SHIFT = 0.25
"""Distance of the principal point from the middle, of the image's size."""

MAX_FOCAL_RATIO = 1.2
"""Pixels are square: fx and fy differ by less."""


@dataclass(frozen=True)
class CameraSummary:
    """One camera of a bag.

    Attributes:
        name: in the rig.
        image_topic, camera_info_topic: its topics.
        encoding: of the first image, or its compressed format; empty without images.
        image_size: (width, height) of the first image, None where it does not decode.
        frame_id: optical frame of the first image.
        camera: intrinsics, None where CameraInfo gives none.
        problems: what is wrong, one sentence each.
    """

    name: str
    image_topic: str
    camera_info_topic: str
    encoding: str
    image_size: tuple[int, int] | None
    frame_id: str
    camera: PinholeCamera | None
    problems: tuple[str, ...]


def summarize_camera(
    bag: BagFile,
    topics: CameraTopics,
    index: BagIndex,
    first_image: tuple[Connection, bytes] | None,
    override: PinholeCamera | None = None,
) -> CameraSummary:
    """Looks at the first image and all CameraInfo of a camera, or at a rig file's intrinsics."""
    problems: list[str] = []
    camera, encoding, frame_id, size = None, "", "", None
    info = index.infos.get(topics.camera_info_topic)
    try:
        camera = override or calibration_of(index, topics).camera
        problems += [f"{topics.camera_info_topic}: {text}" for text in doubts(camera)]
    except BevError as error:
        problems.append(str(error))
    if info and len(info.calibrations) > 1:
        problems.append(
            f"{topics.camera_info_topic} changes {len(info.calibrations) - 1} times during the "
            f"bag; the first calibration is used throughout"
        )
    if first_image is not None:
        try:
            message = bag.decode(*first_image)
            encoding = message.format if topics.compressed else message.encoding
            frame_id = message.header.frame_id.lstrip("/")
            decode = image_from_compressed if topics.compressed else image_from_message
            image = decode(message, topics.image_topic)
            size = image.shape[1], image.shape[0]
            if camera is not None and size != (camera.width, camera.height):
                problems.append(image_size_error(topics, camera, image.shape))
        except BevError as error:
            problems.append(str(error))
    if info and info.calibrations and frame_id:
        info_frame = info.calibrations[0][1].header.frame_id.lstrip("/")
        if info_frame != frame_id:
            problems.append(
                f"{topics.image_topic} is in frame {frame_id!r} but its CameraInfo in "
                f"{info_frame!r}; the CameraInfo's is used"
            )
    return CameraSummary(
        topics.name,
        topics.image_topic,
        topics.camera_info_topic,
        encoding,
        size,
        frame_id,
        camera,
        tuple(problems),
    )


def doubts(camera: PinholeCamera) -> list[str]:
    """What makes an intrinsic matrix unlikely, though it is possible."""
    texts = []
    shift_x = abs(camera.cx - (camera.width - 1) / 2) / camera.width
    shift_y = abs(camera.cy - (camera.height - 1) / 2) / camera.height
    if max(shift_x, shift_y) > MAX_PRINCIPAL_SHIFT:
        texts.append(
            f"principal point ({camera.cx:.0f}, {camera.cy:.0f}) is far from the middle of "
            f"{camera.width}x{camera.height}; is the calibration of another image size?"
        )
    ratio = camera.fx / camera.fy
    if not 1 / MAX_FOCAL_RATIO < ratio < MAX_FOCAL_RATIO:
        texts.append(f"fx = {camera.fx:.6g} and fy = {camera.fy:.6g} differ; pixels are not square")
    if not 10.0 < camera.horizontal_fov_deg < 170.0 and camera.distortion_model != "equidistant":
        texts.append(
            f"fx = {camera.fx:.6g} over {camera.width} pixels is a field of view of "
            f"{camera.horizontal_fov_deg:.0f} degrees; is fx in pixels?"
        )
    return texts
