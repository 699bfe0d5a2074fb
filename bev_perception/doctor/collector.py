# SPDX-License-Identifier: Apache-2.0
"""Makes an Observation of serialized messages as they come, from a bag or from live topics."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bev_perception.bags.bag_index import BagIndex, InfoTopic
from bev_perception.bags.bag_rig import rig_camera
from bev_perception.bags.discovery import CameraTopics, SeenTopic, find_cameras
from bev_perception.bags.headers import raw_stamp_ns
from bev_perception.bags.typestore import CAMERA_INFO, CLOCK, COMPRESSED_IMAGE, IMAGE, ODOMETRY, TF
from bev_perception.bags.vehicle_frames import find_base_frame
from bev_perception.doctor.camera_collector import (
    MOMENT_SPACING_NS,
    SAMPLE_MOMENTS,
    ImageCollector,
    InfoCollector,
)
from bev_perception.doctor.recording import CameraTrack, ImageSample, InfoTrack, Observation
from bev_perception.doctor.transform_collector import TransformCollector, transform_tree
from bev_perception.errors import BagError, BevError
from bev_perception.geometry import RigCamera, TransformTree
from bev_perception.geometry.rig_file import RigFile, RigFileCamera

READ_TYPES = frozenset({IMAGE, COMPRESSED_IMAGE, CAMERA_INFO, TF, ODOMETRY, CLOCK})
"""Types that the doctor looks into."""

_CLOCK_STEP_NS = 20_000_000
"""Of /clock one message in this time is kept, and all that go back."""

Decode = Callable[[str, str, bytes], Any]
"""(topic, type, serialized message) to the message; raises BagError."""


class Collector:
    """Takes messages one by one; none may come after observation().

    Args:
        decode: of serialized messages.
        first_ns, last_ns: times of recording between which images are kept, spread evenly.
        rig_file: names topics, frames or calibrations.
    """

    def __init__(
        self, decode: Decode, first_ns: int, last_ns: int, rig_file: RigFile | None = None
    ) -> None:
        span = max(0, last_ns - first_ns)
        count = min(SAMPLE_MOMENTS, span // MOMENT_SPACING_NS + 1)
        self._moments_ns = [first_ns + span * i // count for i in range(count)]
        self._decode = decode
        self._rig_file = rig_file
        self._images: dict[str, ImageCollector] = {}
        self._infos: dict[str, InfoCollector] = {}
        self._transforms = TransformCollector()
        self._clock: list[tuple[int, int]] = []
        self._problems: Counter[str] = Counter()
        self._range_ns: tuple[int, int] | None = None

    def add(self, topic: str, msgtype: str, log_ns: int, raw: bytes) -> None:
        """One message of a type in READ_TYPES; one that is damaged is noted."""
        first, last = self._range_ns or (log_ns, log_ns)
        self._range_ns = min(first, log_ns), max(last, log_ns)
        try:
            self._add(topic, msgtype, log_ns, raw)
        except (struct.error, IndexError):
            text = f"a message of {len(raw)} bytes is too short for {msgtype}"
            self._refuse(topic, msgtype, text)
        except BagError as error:
            self._refuse(topic, msgtype, str(error))

    def observation(
        self,
        source: str,
        topics: Sequence[SeenTopic],
        is_live: bool = False,
        publishers: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Observation:
        """What has been seen.

        Args:
            source: the bag, or words for live topics.
            topics: everything that there is, with the number of its messages.
            is_live: whether topics were watched.
            publishers: names of the nodes behind a topic, where they are known.

        Raises:
            BagError: the rig file names a topic that there is not.
        """
        cameras = find_cameras(list(topics), self._rig_file)
        tracks = self._transforms.tracks()
        tree, tree_problems = transform_tree(tracks)
        base_frame, base_problem = self._base_frame(tree)
        found = {name: self._camera(each) for name, each in cameras.items()}
        rig, rig_problems = self._rig(found, tree, base_frame)
        return Observation(
            source=source,
            is_live=is_live,
            log_range_ns=self._range_ns or (0, 0),
            topics={each.topic: each.msgtype for each in topics},
            cameras=found,
            transforms=tracks,
            tree=tree,
            base_frame=base_frame,
            base_frame_problem=base_problem,
            rig_cameras=rig,
            rig_problems=rig_problems,
            clock=np.array(self._clock, np.int64).reshape(-1, 2),
            publishers=dict(publishers or {}),
            problems=(
                *tree_problems,
                *(f"{text} ({count} messages)" for text, count in self._problems.items()),
            ),
        )

    def _add(self, topic: str, msgtype: str, log_ns: int, raw: bytes) -> None:
        if msgtype in (IMAGE, COMPRESSED_IMAGE):
            message = self._decode(topic, msgtype, raw)
            self._image_collector(topic, msgtype).add(log_ns, raw, message)
        elif msgtype == CAMERA_INFO:
            info = self._infos.setdefault(topic, InfoCollector())
            is_new = info.is_new(raw)
            info.add(log_ns, raw, self._decode(topic, msgtype, raw) if is_new else None)
        elif msgtype == TF:
            self._transforms.add_transforms(topic, log_ns, self._decode(topic, msgtype, raw))
        elif msgtype == ODOMETRY:
            self._transforms.add_odometry(topic, log_ns, self._decode(topic, msgtype, raw))
        elif msgtype == CLOCK:
            value, last = raw_stamp_ns(raw), self._clock[-1] if self._clock else None
            if last is None or value < last[1] or log_ns - last[0] >= _CLOCK_STEP_NS:
                self._clock.append((log_ns, value))

    def _image_collector(self, topic: str, msgtype: str) -> ImageCollector:
        if topic not in self._images:
            compressed = msgtype == COMPRESSED_IMAGE
            self._images[topic] = ImageCollector(topic, compressed, self._moments_ns)
        return self._images[topic]

    def _refuse(self, topic: str, msgtype: str, text: str) -> None:
        if msgtype in (IMAGE, COMPRESSED_IMAGE):
            self._image_collector(topic, msgtype).refuse(text)
        else:
            self._problems[f"{topic}: {text}"] += 1

    def _base_frame(self, tree: TransformTree) -> tuple[str, str]:
        if self._rig_file is not None:
            return self._rig_file.base_frame, ""
        try:
            return find_base_frame(tree), ""
        except BagError as error:
            return "", str(error)

    def _camera(self, topics: CameraTopics) -> CameraTrack:
        images = self._images.get(topics.image_topic)
        if images is None:
            images = ImageCollector(topics.image_topic, topics.compressed, ())
        info = self._infos.get(topics.camera_info_topic)
        none = np.empty(0, np.int64)
        return CameraTrack(
            topics=topics,
            stamps_ns=np.array(images.stamps_ns, np.int64),
            log_ns=np.array(images.log_ns, np.int64),
            digests=np.array(images.digests, np.int64),
            forms=images.forms,
            refusals=images.refusals,
            damaged=images.damaged,
            info=info.track() if info else InfoTrack(none, none),
            samples=tuple(
                ImageSample(topics, kept.stamp_ns, kept.log_ns, kept.moment, kept.place,
                            kept.message)
                for kept in images.kept
            ),
        )  # fmt: skip

    def _rig(
        self, cameras: Mapping[str, CameraTrack], tree: TransformTree, base_frame: str
    ) -> tuple[dict[str, RigCamera], dict[str, BevError]]:
        """What is known of each camera, as BagReader puts it together."""
        infos = {
            track.topics.camera_info_topic: InfoTopic(
                track.info.stamps_ns.tolist(),
                [(int(track.info.stamps_ns[i]), message) for i, message in track.info.changes],
            )
            for track in cameras.values()
        }
        index = BagIndex(tree, infos, [])
        rig: dict[str, RigCamera] = {}
        problems: dict[str, BevError] = {}
        for name, track in cameras.items():
            override = self._rig_file.cameras[name] if self._rig_file else RigFileCamera()
            try:
                rig[name] = rig_camera(
                    index, track.topics, base_frame, override, partial(_first_image, track)
                )
            except BevError as error:
                problems[name] = error
        return rig, problems


def _first_image(track: CameraTrack) -> tuple[int, str]:
    """Stamp and frame of a camera's first image."""
    if track.form is None:
        raise BagError(f"{track.topics.image_topic} holds no images that can be read")
    return int(track.stamps_ns[0]), track.form.frame_id
