# SPDX-License-Identifier: Apache-2.0
"""Reads what perception and training need from a ROS 2 bag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.bag_index import StampIndex, build_index, message_stamp_ns
from bev_perception.bags.bag_rig import (
    WORLD_FRAMES,
    calibration_of,
    find_base_frame,
    image_size_error,
    rig_camera,
)
from bev_perception.bags.compressed_images import image_from_compressed
from bev_perception.bags.discovery import CameraTopics, find_cameras, find_labels, find_points
from bev_perception.bags.headers import NANOSECONDS
from bev_perception.bags.images import image_from_message
from bev_perception.bags.markers import boxes_from_markers
from bev_perception.bags.object_messages import boxes_from_detections, boxes_from_objects
from bev_perception.bags.point_clouds import points_from_message
from bev_perception.bags.summary import BagSummary, summarize
from bev_perception.bags.typestore import DETECTIONS, MARKER_ARRAY, OBJECT_ARRAY
from bev_perception.errors import BagError, BevError, TransformError
from bev_perception.geometry import (
    CameraFrame,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigidTransform,
    TransformTree,
)
from bev_perception.geometry.rig_file import RigFile, RigFileCamera
from bev_perception.geometry.transform_tree import OutOfRangeError

LABEL_TOLERANCE_NS = 50_000_000
_BOX_DECODERS = {
    MARKER_ARRAY: boxes_from_markers,
    DETECTIONS: boxes_from_detections,
    OBJECT_ARRAY: boxes_from_objects,
}
_EGO_POINT = (0.0, 0.0, 0.5)
"""A point inside the vehicle itself, in its base frame."""


class BagReader:
    """A ROS 2 bag (mcap or sqlite3) of cameras, transforms and labels.

    Cameras, labels and the vehicle frame are found by their conventional names; a rig file
    overrides any of them. Opening reads all small messages once; images are read and decoded
    as they are asked for.

    Args:
        path: folder of the bag, or its .mcap or .db3 file.
        rig_file: names topics, frames or calibrations that the bag does not tell.

    Raises:
        BagError: the bag is missing, damaged, or lacks a topic that the rig file names.
    """

    def __init__(self, path: str | Path, rig_file: RigFile | None = None) -> None:
        self.path = Path(path)
        self._rig_file = rig_file
        self._bag = BagFile(self.path)
        try:
            connections = self._bag.connections
            self._cameras = find_cameras(connections, rig_file)
            self._labels = find_labels(connections, rig_file.labels_topic if rig_file else None)
            info_topics = [camera.camera_info_topic for camera in self._cameras.values()]
            self._index = build_index(self._bag, info_topics, self._labels)
        except BaseException:
            self._bag.close()
            raise

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; a second time does nothing."""
        self._bag.close()

    @property
    def transform_tree(self) -> TransformTree:
        """All transforms of the bag."""
        return self._index.tree

    @property
    def camera_topics(self) -> dict[str, CameraTopics]:
        """Topics of the cameras by name.

        Raises:
            BagError: the bag has no camera topics; lists those it has.
        """
        if not self._cameras:
            topics = sorted(f"{c.topic} ({c.msgtype})" for c in self._bag.connections)
            raise BagError(
                f"{self.path}: no camera topics; expected names such as .../image_raw, .../image "
                f"or .../image_raw/compressed; its topics are {', '.join(topics) or 'none'}; "
                f"name the image topics in a rig file"
            )
        return dict(self._cameras)

    @cached_property
    def base_frame(self) -> str:
        """The vehicle frame that rig, objects and points are expressed in.

        Raises:
            BagError: TF has no conventional one and no rig file names one.
        """
        if self._rig_file is not None:
            return self._rig_file.base_frame
        return find_base_frame(self.transform_tree)

    @property
    def stamp_range_ns(self) -> tuple[int, int]:
        """First and last stamp of the cameras, or times of recording where they have none."""
        stamps = [s for info in self._index.infos.values() for s in info.stamps_ns]
        return (min(stamps), max(stamps)) if stamps else self._bag.log_range_ns

    @property
    def label_stamps_ns(self) -> list[int]:
        """Stamps of the labels, sorted; empty where the bag has none."""
        return list(self._index.labels.stamps_ns)

    def rig(self) -> Rig:
        """All cameras with their calibration and mounting.

        Raises:
            BagError: no cameras, no CameraInfo of one, or no transform to the vehicle frame.
            CalibrationError: a camera is not calibrated, or impossibly.
        """
        return self._rig

    def camera_frames(self, names: Sequence[str] | None = None) -> Iterator[CameraFrame]:
        """Images in the order of recording, decoded one by one.

        The image may be a read-only view; copy it before drawing into it.

        Args:
            names: cameras to read, default all.

        Raises:
            BagError: unknown names, an image that does not decode or has another size than
                its calibration, or stamps of one camera that go back in time.
        """
        chosen = self._chosen(names)
        by_topic = {camera.image_topic: camera for camera in chosen}
        connections = [c for c in self._bag.connections if c.topic in by_topic]
        previous: dict[str, int] = {}
        for connection, log_ns, raw in self._bag.messages(connections):
            camera = by_topic[connection.topic]
            stamp = message_stamp_ns(self._bag, connection, log_ns, raw)
            if stamp < previous.get(camera.name, stamp):
                raise BagError(
                    f"{self.path}: stamps of {connection.topic} go back from "
                    f"{_seconds(previous[camera.name])} to {_seconds(stamp)}; the clock was set "
                    f"back while recording (a restarted simulation?): split the bag there"
                )
            previous[camera.name] = stamp
            yield CameraFrame(camera.name, stamp, self._image(connection, raw, camera))

    def world_T_base(self, stamp_ns: int) -> RigidTransform | None:
        """Ego pose in map or odom, whichever TF connects at that time; None if neither."""
        for frame in WORLD_FRAMES:
            if frame in self.transform_tree.frames and frame != self.base_frame:
                try:
                    return self.transform_tree.lookup(frame, self.base_frame, stamp_ns)
                except TransformError:
                    continue
        return None

    def objects(
        self, stamp_ns: int, tolerance_ns: int = LABEL_TOLERANCE_NS
    ) -> tuple[ObjectBox, ...] | None:
        """Labelled objects in base_frame at a time, the vehicle itself left out.

        Taken from the label message nearest in time and moved to the time asked for: by the
        ego motion where the pose is known, and by their own velocity.

        Returns:
            None when there are no labels within the tolerance, or TF does not reach the
            labels' time.

        Raises:
            BagError: TF does not connect the labels' frame, or a label is impossible.
        """
        found = self._index.labels.nearest(stamp_ns, tolerance_ns)
        if found is None or self._labels is None:
            return None
        label_ns, log_ns = found
        message = self._message_at(self._labels, label_ns, log_ns)
        frames = _BOX_DECODERS[self._labels.msgtype](message, self._labels.topic)
        try:
            poses = {
                frame: self._base_T_frame(frame, label_ns, self._labels.topic)
                for frame in {frame for frame, _ in frames}
            }
        except OutOfRangeError:
            return None
        motion = self._ego_motion(label_ns, stamp_ns)
        delay_s = (stamp_ns - label_ns) / NANOSECONDS
        boxes = (box.transformed(poses[frame]) for frame, box in frames)
        return tuple(
            _moved(box, delay_s).transformed(motion)
            for box in boxes
            if not (box.is_vehicle and box.contains(_EGO_POINT))
        )

    def points(
        self, stamp_ns: int, tolerance_ns: int = LABEL_TOLERANCE_NS
    ) -> NDArray[np.float64] | None:
        """(N, 3) LiDAR points in base_frame nearest in time, moved by the ego motion.

        Returns:
            None when there are none within the tolerance, or TF does not reach their time.

        Raises:
            BagError: TF does not connect the points' frame, or the message is malformed.
        """
        connection, index = self._points_index
        found = index.nearest(stamp_ns, tolerance_ns) if connection else None
        if found is None or connection is None:
            return None
        message = self._message_at(connection, *found)
        points = points_from_message(message, connection.topic)
        frame = message.header.frame_id.lstrip("/")
        try:
            base_T_frame = self._base_T_frame(frame, found[0], connection.topic)
        except OutOfRangeError:
            return None
        return (self._ego_motion(found[0], stamp_ns) @ base_T_frame).apply(points)

    def summary(self) -> BagSummary:
        """What is in the bag, and what is wrong with it. Reads it through once."""
        try:
            base_frame: str | None = self.base_frame
            base_problem = ()
        except BevError as error:
            base_frame, base_problem = None, (str(error),)
        labels = self._labels.topic if self._labels else None
        summary = summarize(self._bag, self._cameras, self._index, base_frame, labels)
        problems = list(base_problem)
        for name in self._cameras if base_frame is not None else ():
            try:
                self._rig_camera(name)
            except BevError as error:
                problems.append(str(error))
        return replace(summary, problems=(*summary.problems, *problems))

    @cached_property
    def _rig(self) -> Rig:
        return Rig({name: self._rig_camera(name) for name in self.camera_topics})

    @cached_property
    def _cameras_of_known_size(self) -> dict[str, PinholeCamera]:
        """Intrinsics of the cameras that have valid ones, to check images against."""
        known = {}
        for name, topics in self._cameras.items():
            override = self._override(name)
            try:
                known[name] = override.camera or calibration_of(self._index, topics).camera
            except BevError:
                continue  # told by rig(); images may be looked at without it
        return known

    @cached_property
    def _points_index(self) -> tuple[Connection | None, StampIndex]:
        connection = find_points(self._bag.connections)
        entries = []
        for _, log_ns, raw in self._bag.messages([connection]) if connection else ():
            entries.append((message_stamp_ns(self._bag, connection, log_ns, raw), log_ns))
        return connection, StampIndex.of(entries)

    def _override(self, name: str) -> RigFileCamera:
        return self._rig_file.cameras[name] if self._rig_file else RigFileCamera()

    def _rig_camera(self, name: str) -> Any:
        topics = self._cameras[name]

        def first_image() -> tuple[int, str]:
            connections = [c for c in self._bag.connections if c.topic == topics.image_topic]
            for connection, log_ns, raw in self._bag.messages(connections):
                frame = self._bag.decode(connection, raw).header.frame_id
                stamp = message_stamp_ns(self._bag, connection, log_ns, raw)
                return stamp, frame.lstrip("/")
            raise BagError(f"{self.path}: {topics.image_topic} holds no images; record it again")

        return rig_camera(
            self._index, topics, self.base_frame, self._override(name), first_image
        )

    def _chosen(self, names: Sequence[str] | None) -> list[CameraTopics]:
        cameras = self.camera_topics
        unknown = [name for name in names or () if name not in cameras]
        if unknown:
            raise BagError(
                f"{self.path}: no camera {', '.join(map(repr, unknown))}; "
                f"its cameras are {', '.join(cameras)}"
            )
        return [cameras[name] for name in (cameras if names is None else names)]

    def _image(
        self, connection: Connection, raw: bytes, camera: CameraTopics
    ) -> NDArray[np.uint8]:
        message = self._bag.decode(connection, raw)
        decode = image_from_compressed if camera.compressed else image_from_message
        image = decode(message, connection.topic)
        expected = self._cameras_of_known_size.get(camera.name)
        if expected is not None and image.shape[:2] != (expected.height, expected.width):
            raise BagError(image_size_error(camera, expected, image.shape))
        return image

    def _message_at(self, connection: Connection, stamp_ns: int, log_ns: int) -> Any:
        """The message of one topic with a header stamp and time of recording."""
        for _, _, raw in self._bag.messages([connection], log_ns, log_ns + 1):
            if message_stamp_ns(self._bag, connection, log_ns, raw) == stamp_ns:
                return self._bag.decode(connection, raw)
        raise BagError(
            f"{self.path}: the message of {connection.topic} at {_seconds(stamp_ns)} is gone; "
            f"the bag was changed while it was read"
        )

    def _base_T_frame(self, frame: str, stamp_ns: int, topic: str) -> RigidTransform:
        if frame == self.base_frame:
            return RigidTransform.identity()
        try:
            return self.transform_tree.lookup(self.base_frame, frame, stamp_ns)
        except OutOfRangeError:
            raise
        except TransformError as error:
            raise BagError(
                f"{topic}: no transform from its frame {frame!r} to the vehicle frame "
                f"{self.base_frame!r}: {error}; record /tf and /tf_static with it"
            ) from error

    def _ego_motion(self, from_ns: int, to_ns: int) -> RigidTransform:
        """Takes points of base_frame at one time to base_frame at another."""
        before = after = None
        if from_ns != to_ns:
            before, after = self.world_T_base(from_ns), self.world_T_base(to_ns)
        if before is None or after is None:
            return RigidTransform.identity()
        return after.inverse() @ before


def _moved(box: ObjectBox, delay_s: float) -> ObjectBox:
    """The box where its velocity takes it after a delay in seconds."""
    if delay_s == 0.0 or not box.velocity.any():
        return box
    shift = RigidTransform(np.eye(3), box.velocity * delay_s)
    return replace(box, pose=shift @ box.pose)


def _seconds(stamp_ns: int) -> str:
    return f"{stamp_ns / NANOSECONDS:.6f} s"
