# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are cameras, labels and LiDAR, by their conventional names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rosbags.interfaces import Connection

from bev_perception.bags.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    IMU,
    MARKER_ARRAY,
    OBJECT_ARRAY,
    POINT_CLOUD,
)
from bev_perception.errors import BagError
from bev_perception.geometry.rig_file import RigFile

_IMAGE_NAMES = ("image_raw", "image", "image_color", "image_rect_color", "image_rect")
_IMAGE_TOPIC = re.compile(rf"(?P<base>/.+)/(?P<name>{'|'.join(_IMAGE_NAMES)})(?:/compressed)?")
_NOT_A_CAMERA = re.compile(
    r"depth|semantic|segmentation|instance|disparity|dvs|optical_flow|normals|mask"
)
_LABEL_TOPIC = re.compile(r"ground_truth|(^|[/_])(gt|annotations?|labels?|objects)($|[/_])")
_LABEL_TYPES = (MARKER_ARRAY, DETECTIONS, OBJECT_ARRAY)
_OWN_OUTPUT, _ONLY_OURS = "/bev/", "probability_grid"
"""The node's usual name, and a topic below whatever name it has."""

_CLOUD_NAMES = {
    "lidar": re.compile(r"lidar|velodyne|ouster|hesai|pandar|livox|rslidar|robosense|laser"),
    "radar": re.compile(r"radar"),
}
_NOT_MEASURED_SO = re.compile(r"depth|stereo|camera|disparity")
_WHOLE_CLOUD = re.compile(r"points?(_?raw)?$|point_?cloud2?$")
_FOREIGN = "/carla/"
"""Cameras here are those of another CARLA interface, whose CameraInfo may be wrong."""

_GENERIC_NAMES = frozenset({"camera", "cam", "color", "rgb", "image", "sensors"})


class SeenTopic(Protocol):
    """A topic of a bag (a Connection) or of the running system, and its messages' number."""

    @property
    def topic(self) -> str: ...

    @property
    def msgtype(self) -> str: ...

    @property
    def msgcount(self) -> int: ...


@dataclass(frozen=True)
class CameraTopics:
    """Where one camera is in a bag.

    Attributes:
        name: of the camera in the rig.
        image_topic: its images.
        camera_info_topic: its CameraInfo, which the bag may lack.
        compressed: whether the images are sensor_msgs/CompressedImage.
        rectified: whether the images have been rectified.
    """

    name: str
    image_topic: str
    camera_info_topic: str
    compressed: bool
    rectified: bool


def find_cameras(
    connections: Sequence[SeenTopic], rig_file: RigFile | None = None
) -> dict[str, CameraTopics]:
    """Cameras by name: those of the rig file in its order, else all conventional ones.

    Raises:
        BagError: the rig file names a camera or topic that the bag lacks.
    """
    images = {c.topic: c for c in connections if c.msgtype in (IMAGE, COMPRESSED_IMAGE)}
    infos = {c.topic for c in connections if c.msgtype == CAMERA_INFO and c.msgcount}
    found = _conventional(images, infos)
    if rig_file is None:
        return found
    cameras = {}
    for name, entry in rig_file.cameras.items():
        topic = entry.image_topic or (found[name].image_topic if name in found else None)
        if topic not in images:
            wanted = f"image topic {topic!r}" if topic else "image topic of that name"
            known = f"; cameras found by name are {', '.join(found)}" if found and not topic else ""
            raise BagError(
                f"{rig_file.path or 'rig file'}: camera {name!r}: the bag has no {wanted}; its "
                f"image topics are {', '.join(sorted(images)) or 'none'}{known}; give the right "
                f"image_topic"
            )
        cameras[name] = CameraTopics(
            name,
            topic,
            entry.camera_info_topic or info_topic(topic, infos),
            images[topic].msgtype == COMPRESSED_IMAGE,
            is_rectified(topic),
        )
    return cameras


def find_labels(connections: Iterable[Connection], topic: str | None = None) -> Connection | None:
    """The connection of labelled objects: the one named, else the most conventional one.

    Raises:
        BagError: the topic named is not in the bag, or of a type that holds no boxes.
    """
    connections = list(connections)
    if topic is not None:
        named = next((c for c in connections if c.topic == topic), None)
        if named is None or named.msgtype not in _LABEL_TYPES:
            seen = f"is of type {named.msgtype}" if named else "is not in the bag"
            raise BagError(
                f"rig file: labels topic {topic!r} {seen}; expected one of type "
                f"{', '.join(_LABEL_TYPES)}"
            )
        return named
    topics = {c.topic for c in connections}
    candidates = [
        c for c in connections if c.msgcount and is_label_topic(c.topic, c.msgtype, topics)
    ]
    return min(
        candidates,
        key=lambda c: ("ground_truth" not in c.topic, _LABEL_TYPES.index(c.msgtype), c.topic),
        default=None,
    )


def find_points(
    connections: Iterable[Connection], sensor: str = "lidar", topic: str | None = None
) -> Connection | None:
    """The connection of "lidar", "radar" or "radar_features" points: that of a topic, else by name.

    Clouds are a LiDAR's unless the topic says radar, or that cameras measured them. Of several the
    one that names the sensor comes first, then one that names nothing done to the points.

    Raises:
        BagError: the topic named is not in the bag, or of another type.
    """
    connections = list(connections)
    if topic is not None:
        named = next((c for c in connections if c.topic == topic), None)
        if named is None or named.msgtype != POINT_CLOUD:
            seen = f"is of type {named.msgtype}" if named else "is not in the bag"
            raise BagError(f"rig file: points topic {topic!r} {seen}; expected a {POINT_CLOUD}")
        return named
    wanted, topics = sensor.partition("_")[0], {c.topic for c in connections}
    clouds = [c for c in connections if c.msgcount and is_cloud_topic(c.topic, c.msgtype, topics)]

    def rank(cloud: Connection) -> tuple[bool, bool, str]:
        name = cloud.topic.lower()
        return not _CLOUD_NAMES[wanted].search(name), not _WHOLE_CLOUD.search(name), cloud.topic

    of_sensor = [c for c in clouds if ("radar" in c.topic.lower()) == (wanted == "radar")]
    return min(of_sensor, key=rank, default=None)


def find_imu(connections: Iterable[Connection]) -> Connection | None:
    """The connection of an IMU: the one with the most messages, then the first by name."""
    imus = [c for c in connections if c.msgtype == IMU and c.msgcount]
    return min(imus, key=lambda c: (-c.msgcount, c.topic), default=None)


def is_camera_topic(topic: str, msgtype: str) -> bool:
    """Whether find_cameras would take a topic for the images of a camera."""
    if msgtype not in (IMAGE, COMPRESSED_IMAGE) or _NOT_A_CAMERA.search(topic):
        return False
    return _IMAGE_TOPIC.fullmatch(topic) is not None


def is_rectified(image_topic: str, told: bool | None = None) -> bool:
    """Whether images are rectified: as told, else by the topic's name (``image_rect_color``)."""
    return "image_rect" in image_topic if told is None else told


def is_label_topic(topic: str, msgtype: str, topics: Collection[str]) -> bool:
    """Whether find_labels would take a topic, of all that there are, for labelled objects."""
    labels = msgtype in _LABEL_TYPES and _LABEL_TOPIC.search(topic)
    return bool(labels) and not is_own_output(topic, topics)


def is_cloud_topic(topic: str, msgtype: str, topics: Collection[str]) -> bool:
    """Whether find_points would take a topic, of all that there are, for points of a sensor."""
    name = topic.lower()
    is_named = any(pattern.search(name) for pattern in _CLOUD_NAMES.values())
    measured = is_named or not _NOT_MEASURED_SO.search(name)
    return msgtype == POINT_CLOUD and measured and not is_own_output(topic, topics)


def is_own_output(topic: str, topics: Collection[str]) -> bool:
    """Whether a perception node of ours publishes a topic, in whatever namespace and by what name.

    Args:
        topic: full name.
        topics: all that there are.
    """
    node = topic
    while "/" in node:
        node = node.rpartition("/")[0]
        if f"{node}/{_ONLY_OURS}" in topics:
            return True
    return _OWN_OUTPUT in topic


def info_topic(image_topic: str, infos: Collection[str] = ()) -> str:
    """Where an image's CameraInfo is: beside it, by convention.

    Args:
        image_topic: of the images.
        infos: CameraInfo topics that there are. Those that carla_adapter_node has corrected win
            over what it was given.
    """
    base = _base(image_topic)
    corrected = f"/camera/{base.rpartition('/')[2]}/camera_info"
    return corrected if base.startswith(_FOREIGN) and corrected in infos else f"{base}/camera_info"


def camera_names(bases: Sequence[str]) -> list[str]:
    """Short distinct names for topic bases: the parts in which they differ.

    ``/camera/front`` and ``/camera/left`` are front and left; so are ``/front/camera`` and
    ``/left/camera``. A single one is named by its last telling part.
    """
    parts = [base.strip("/").split("/") for base in bases]
    if len(parts) == 1:
        telling = [part for part in parts[0] if part not in _GENERIC_NAMES]
        return [telling[-1] if telling else parts[0][-1]]
    while all(len(p) > 1 for p in parts) and len({p[0] for p in parts}) == 1:
        parts = [p[1:] for p in parts]
    while all(len(p) > 1 for p in parts) and len({p[-1] for p in parts}) == 1:
        parts = [p[:-1] for p in parts]
    return ["_".join(p) for p in parts]


def _conventional(
    images: Mapping[str, SeenTopic], infos: Collection[str]
) -> dict[str, CameraTopics]:
    """The best image topic of every topic base, by camera name."""
    best: dict[str, tuple[tuple[bool, int, bool], str]] = {}
    for topic, connection in images.items():
        match = _IMAGE_TOPIC.fullmatch(topic)
        if match is None or _NOT_A_CAMERA.search(topic):
            continue
        compressed = connection.msgtype == COMPRESSED_IMAGE
        rank = (not connection.msgcount, _IMAGE_NAMES.index(match["name"]), compressed)
        if match["base"] not in best or rank < best[match["base"]][0]:
            best[match["base"]] = rank, topic
    names = camera_names(list(best)) if best else []
    return {
        name: CameraTopics(
            name,
            topic,
            info_topic(topic, infos),
            images[topic].msgtype == COMPRESSED_IMAGE,
            is_rectified(topic),
        )
        for name, (base, (_, topic)) in zip(names, best.items())
    }


def _base(topic: str) -> str:
    """Topic that camera_info stands beside."""
    match = _IMAGE_TOPIC.fullmatch(topic)
    return match["base"] if match else topic.rsplit("/", 1)[0]
