# SPDX-License-Identifier: Apache-2.0
"""What the doctor's checks read: an observation of a bag or of live topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.compressed_images import image_from_compressed
from bev_perception.bags.discovery import CameraTopics
from bev_perception.bags.images import image_from_message
from bev_perception.bags.vehicle_frames import VehicleFrames
from bev_perception.errors import BevError
from bev_perception.geometry import Rig, RigCamera, RigidTransform, TransformTree


class ImageForm(NamedTuple):
    """What an image message says of itself beside its pixels.

    Attributes:
        width, height: pixels; of a CompressedImage as its JPEG or PNG says, 0 where it does
            not say.
        encoding: or the format of a CompressedImage.
        frame_id: without a leading slash.
    """

    width: int
    height: int
    encoding: str
    frame_id: str


@dataclass(frozen=True, eq=False)
class ImageSample:
    """One of the images that are kept.

    Attributes:
        topics: of its camera.
        stamp_ns: of its header.
        log_ns: time of recording or arrival.
        moment: number of the moment that it belongs to, the same for all cameras.
        place: 0 for the first image at that moment, 1 for the camera's next one.
        message: sensor_msgs/Image or CompressedImage.
    """

    topics: CameraTopics
    stamp_ns: int
    log_ns: int
    moment: int
    place: int
    message: Any

    @property
    def camera(self) -> str:
        """Name of the camera."""
        return self.topics.name

    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, decoded at each call; perhaps a read-only view.

        Raises:
            BagError: it does not decode.
        """
        decode = image_from_compressed if self.topics.compressed else image_from_message
        return decode(self.message, self.topics.image_topic)


@dataclass(frozen=True, eq=False)
class InfoTrack:
    """CameraInfo of one camera.

    Attributes:
        stamps_ns, log_ns: (n,) int64 of all messages, in the order of arrival.
        changes: (index into stamps_ns, message) of the first one and of each that differs
            from the one before it, its stamp aside; at most a few hundred are kept.
    """

    stamps_ns: NDArray[np.int64]
    log_ns: NDArray[np.int64]
    changes: Sequence[tuple[int, Any]] = ()


@dataclass(frozen=True, eq=False)
class CameraTrack:
    """Everything that was seen of one camera.

    Attributes:
        topics: its names.
        stamps_ns: (n,) int64 of its images' headers as they are, 0 where never filled, in the
            order of arrival.
        log_ns: (n,) int64 times of recording or arrival.
        digests: (n,) int64 checksums of each message behind its stamp: equal ones are equal
            images.
        forms: how often images of each form came.
        refusals: why images cannot be read, and how many each.
        info: its CameraInfo.
        samples: images that are kept, by moment and place.
        damaged: refused images that are no messages at all, and so in none of the arrays.
    """

    topics: CameraTopics
    stamps_ns: NDArray[np.int64]
    log_ns: NDArray[np.int64]
    digests: NDArray[np.int64]
    forms: Counter[ImageForm]
    refusals: Counter[str]
    info: InfoTrack
    samples: tuple[ImageSample, ...] = ()
    damaged: int = 0

    @property
    def name(self) -> str:
        """Of the camera in the rig."""
        return self.topics.name

    @property
    def form(self) -> ImageForm | None:
        """The usual form of its images."""
        return self.forms.most_common(1)[0][0] if self.forms else None


@dataclass(frozen=True, eq=False)
class TransformTrack:
    """One edge of TF as one topic tells it.

    Attributes:
        topic: /tf, /tf_static or an odometry topic.
        is_static: whether it came on /tf_static.
        parent, child: frames without a leading slash.
        stamps_ns, log_ns: (n,) int64, in the order of arrival.
        values: (n, 7) translation in metres and quaternion x, y, z, w, as they came.
    """

    topic: str
    is_static: bool
    parent: str
    child: str
    stamps_ns: NDArray[np.int64]
    log_ns: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def is_odometry(self) -> bool:
        """Whether it is an odometry topic's pose and came on no TF."""
        return self.topic.rstrip("/").rpartition("/")[2] not in ("tf", "tf_static")


@dataclass(frozen=True, eq=False)
class Observation:
    """A bag, or live topics watched for a while.

    Attributes:
        source: the bag's path, or words for live topics.
        is_live: whether topics were watched.
        log_range_ns: first and last time of recording.
        topics: type by name of everything that is there.
        cameras: by name, in rig order.
        transforms: edges of TF, as they came.
        tree: the transforms that can be used, as a TransformTree.
        base_frame: the vehicle frame; empty where none was found.
        base_frame_problem: why none was found.
        rig_cameras: intrinsics and mounting of the cameras whose are known.
        rig_problems: why the others' are not, by camera.
        clock: (n, 2) int64 of /clock: time of recording and value; empty without.
        publishers: names of the nodes that publish a topic; empty for a bag.
        problems: other trouble with reading, one sentence each.
    """

    source: str
    is_live: bool
    log_range_ns: tuple[int, int]
    topics: Mapping[str, str]
    cameras: Mapping[str, CameraTrack]
    transforms: tuple[TransformTrack, ...]
    tree: TransformTree
    base_frame: str
    base_frame_problem: str
    rig_cameras: Mapping[str, RigCamera]
    rig_problems: Mapping[str, BevError]
    clock: NDArray[np.int64]
    publishers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def rig(self) -> Rig | None:
        """All cameras of rig_cameras; None where there are none."""
        return Rig(self.rig_cameras) if self.rig_cameras else None

    @property
    def duration_s(self) -> float:
        """Between first and last recording."""
        return (self.log_range_ns[1] - self.log_range_ns[0]) / 1e9

    @cached_property
    def frames(self) -> VehicleFrames:
        """How frames lie around the vehicle over time."""
        return VehicleFrames(self.tree, self.base_frame or "base_link")

    def world_T_base(self, stamp_ns: int) -> RigidTransform | None:
        """Ego pose in map or odom at a time; None where TF does not tell."""
        return self.frames.world_T_base(stamp_ns)

    def moments(self, place: int = 0) -> list[dict[str, ImageSample]]:
        """Samples by camera of each moment, in the order of time.

        Cameras that have no sample at a moment are missing there. Stamps within a moment may
        differ by a period, because it begins at one time of recording for all.

        Args:
            place: 0 for the first images, 1 for each camera's next one.
        """
        found: dict[int, dict[str, ImageSample]] = {}
        for name, track in self.cameras.items():
            for sample in track.samples:
                if sample.place == place:
                    found.setdefault(sample.moment, {})[name] = sample
        return [found[moment] for moment in sorted(found)]

    def pairs(self, camera: str) -> list[tuple[ImageSample, ImageSample]]:
        """Consecutive images of a camera that are kept."""
        by_key = {(s.moment, s.place): s for s in self.cameras[camera].samples}
        return [
            (sample, by_key[moment, 1])
            for (moment, place), sample in by_key.items()
            if place == 0 and (moment, 1) in by_key
        ]
