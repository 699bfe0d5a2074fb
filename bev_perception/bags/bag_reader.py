# SPDX-License-Identifier: Apache-2.0
"""Reads what perception and training need from a ROS 2 bag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection

from bev_perception.bags.bag_clouds import BagClouds
from bev_perception.bags.bag_file import BagFile, about
from bev_perception.bags.bag_index import build_index, message_stamp_ns
from bev_perception.bags.bag_rig import BagRig, image_size_error
from bev_perception.bags.compressed_images import image_from_compressed
from bev_perception.bags.discovery import (
    CameraTopics,
    find_cameras,
    find_imu,
    find_labels,
)
from bev_perception.bags.headers import NANOSECONDS
from bev_perception.bags.images import image_from_message
from bev_perception.bags.imu_messages import read_imu
from bev_perception.bags.labels import label_frames, objects_at
from bev_perception.bags.rig_changes import RigChanges
from bev_perception.bags.stamped_topic import StampedTopic
from bev_perception.bags.summary import BagSummary, summarize
from bev_perception.bags.undecoded_frame import UndecodedFrame
from bev_perception.bags.vehicle_frames import VehicleFrames
from bev_perception.errors import BagError, BevError
from bev_perception.geometry import (
    CameraFrame,
    ObjectBox,
    Rig,
    RigidTransform,
    TransformTree,
)
from bev_perception.geometry.box_arrays import BoxArrays
from bev_perception.geometry.imu import ImuSample
from bev_perception.geometry.rig_file import RigFile

LABEL_TOLERANCE_NS = 50_000_000
RESTART_NS = 200_000_000
"""A camera's stamp that falls back by more was given by another run of its clock; images that fall
back by less are out of order, and a Synchronizer drops them."""


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
        self._bag = BagFile(self.path)
        try:
            with about(self.path):
                self._clouds = BagClouds(self._bag, rig_file.points_topic if rig_file else None)
                connections = self._bag.connections
                self._cameras = find_cameras(connections, rig_file)
                labels = find_labels(connections, rig_file.labels_topic if rig_file else None)
                info_topics = [camera.camera_info_topic for camera in self._cameras.values()]
                self._index = build_index(self._bag, info_topics, labels)
            self._labels = StampedTopic(self._bag, labels, self._index.labels) if labels else None
            self._rig = BagRig(self._bag, self._index, self._cameras, rig_file)
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
        """All transforms of the bag that are some; see refused_transforms."""
        return self._index.tree

    @property
    def refused_transforms(self) -> tuple[str, ...]:
        """About impossible transforms, which are left out; one sentence per edge."""
        return self._index.refused

    @property
    def camera_topics(self) -> dict[str, CameraTopics]:
        """Topics of the cameras by name.

        Raises:
            BagError: the bag has no camera topics; lists those it has.
        """
        self._require_cameras()
        return dict(self._cameras)

    @property
    def base_frame(self) -> str:
        """The vehicle frame that rig, objects and points are expressed in.

        Raises:
            BagError: TF has no conventional one and no rig file names one.
        """
        with about(self.path):
            return self._rig.base_frame

    @property
    def stamp_range_ns(self) -> tuple[int, int]:
        """First and last stamp of the cameras, or times of recording where they have none."""
        stamps = [s for info in self._index.infos.values() for s in info.stamps_ns]
        return (min(stamps), max(stamps)) if stamps else self._bag.log_range_ns

    @property
    def label_stamps_ns(self) -> list[int]:
        """Stamps of the labels, sorted; empty where the bag has none."""
        return list(self._labels.stamps_ns) if self._labels else []

    def rig(self) -> Rig:
        """All cameras with their calibration and mounting.

        Raises:
            BagError: no cameras, no CameraInfo of one, or no transform to the vehicle frame.
            CalibrationError: a camera is not calibrated, or impossibly.
        """
        with about(self.path):
            self._require_cameras()
            return self._rig.whole

    @cached_property
    def rig_changes(self) -> RigChanges:
        """Where the rig is another one than rig(), by CameraInfo or /tf_static."""
        frames: list[str] = []
        with about(self.path):
            if self._index.static_changes:
                frames += [self._clouds.frame(sensor) for sensor in ("lidar", "radar")]
                frames += label_frames(self._labels) if self._labels else []
            return self._rig.changes(frames)

    def camera_frames(
        self,
        names: Sequence[str] | None = None,
        on_damaged: Callable[[str, BagError], object] | None = None,
        of_any_rig: bool = False,
    ) -> Iterator[CameraFrame]:
        """Images in the order of recording, decoded one by one.

        Stamps of a camera may fall back by up to RESTART_NS, as when two threads of a driver
        overtake each other. The image may be a read-only view; copy it before drawing into it.

        Args:
            names: cameras to read, default all.
            on_damaged: called with the camera and the error for each image that does not
                decode or has another size than its calibration, which is then left out;
                default: such an image raises its error.
            of_any_rig: also those of moments at which rig() does not hold, see rig_changes.

        Raises:
            BagError: unknown names, a damaged image, stamps of one camera that go back by more
                than RESTART_NS, or images of another rig alone.
        """
        for undecoded in self.undecoded_frames(names, of_any_rig):
            try:
                frame = undecoded.decode()
            except BagError as error:
                if on_damaged is None:
                    raise
                on_damaged(undecoded.camera, error)
                continue
            yield frame

    def undecoded_frames(
        self, names: Sequence[str] | None = None, of_any_rig: bool = False
    ) -> Iterator[UndecodedFrame]:
        """The same, of which whoever asks decodes what he needs.

        Raises:
            BagError: unknown names, stamps of one camera that go back by more than RESTART_NS, or
                images of another rig alone.
        """
        by_topic = {camera.image_topic: camera for camera in self._chosen(names)}
        connections = [c for c in self._bag.connections if c.topic in by_topic]
        newest: dict[str, int] = {}
        left_out, given = 0, 0
        changes = RigChanges() if of_any_rig else self.rig_changes
        for connection, log_ns, raw in self._bag.messages(connections):
            camera = by_topic[connection.topic]
            stamp = message_stamp_ns(self._bag, connection, log_ns, raw)
            before = newest.get(camera.name, stamp)
            if stamp < before - RESTART_NS:
                raise BagError(
                    f"{self.path}: stamps of {connection.topic} go back from {_seconds(before)} "
                    f"to {_seconds(stamp)}; the clock was set back while recording (a restarted "
                    f"simulation?): split the bag there"
                )
            newest[camera.name] = max(stamp, before)
            if not changes.holds_for(camera.name, stamp, log_ns):
                left_out += 1
                continue
            given += 1
            decode = partial(self._frame, connection, raw, camera, stamp)
            yield UndecodedFrame(camera.name, stamp, decode)
        if left_out and not given:
            raise BagError(
                f"{self.path}: all {left_out} images were recorded with another rig than the one "
                f"that is used: {'; '.join(changes.sentences())}; give the cameras' intrinsics or "
                f"mountings, whichever change, in a rig file, or split the bag where they do"
            )

    def world_T_base(self, stamp_ns: int) -> RigidTransform | None:
        """Ego pose in map or odom, whichever TF connects at that time; None if neither."""
        return self._frames.world_T_base(stamp_ns)

    def world_frame(self, stamp_ns: int) -> str:
        """Which of them that is; "" if neither."""
        return self._frames.world_frame(stamp_ns)

    def pose_in(self, world_frame: str, stamp_ns: int) -> RigidTransform | None:
        """Ego pose in a frame of the bag, None where TF does not connect it at that time."""
        return self._frames.pose_in(world_frame, stamp_ns)

    def has_labels(self, stamp_ns: int, tolerance_ns: int = LABEL_TOLERANCE_NS) -> bool:
        """Whether a label message lies within the tolerance; none is read to tell."""
        return self._labels is not None and self._labels.is_near(stamp_ns, tolerance_ns)

    def objects(
        self, stamp_ns: int, tolerance_ns: int = LABEL_TOLERANCE_NS
    ) -> tuple[ObjectBox, ...] | None:
        """Labelled objects in base_frame at a time, the vehicle itself left out.

        Taken from the label message nearest in time and moved to the time asked for: by the
        ego motion where the pose is known, and by their own velocity.

        Returns:
            None when there are no labels within the tolerance, TF does not reach the labels'
            time, or their frame lay otherwise then than is used; see rig_changes.

        Raises:
            BagError: TF does not connect the labels' frame, or a label is impossible.
        """
        found = self.object_arrays(stamp_ns, tolerance_ns)
        return None if found is None else found.boxes()

    def object_arrays(
        self, stamp_ns: int, tolerance_ns: int = LABEL_TOLERANCE_NS
    ) -> BoxArrays | None:
        """The same as arrays, which takes a fraction of the time."""
        if self._labels is None:
            return None
        changes = self.rig_changes
        with about(self.path):
            return objects_at(self._labels, self._frames, changes, stamp_ns, tolerance_ns)

    def points(
        self, stamp_ns: int, tolerance_ns: int = LABEL_TOLERANCE_NS, sensor: str = "lidar"
    ) -> NDArray[np.float64] | None:
        """(N, 3) points in base_frame, nearest in time, moved by the ego motion.

        Args:
            stamp_ns: time asked for.
            tolerance_ns: from there.
            sensor: "lidar", "radar", or "radar_features" with the RADAR_VALUES behind.

        Returns:
            None when there are none within the tolerance, TF does not reach their time, or their
            mounting was another one then than the one that is used; see rig_changes.

        Raises:
            BagError: TF does not connect the points' frame, or the message is malformed or
                lacks values.
        """
        changes = self.rig_changes
        return self._clouds.points(self._frames, changes, stamp_ns, tolerance_ns, sensor)

    def has_points(self, sensor: str) -> bool:
        """Whether there is a topic with point clouds of a sensor."""
        return self._clouds.topic(sensor) is not None

    def has_point_values(self, names: Iterable[str], sensor: str) -> bool:
        """Whether the first cloud of a sensor has fields of these names."""
        return self._clouds.has_values(names, sensor)

    def imu_samples(self, on_refused: Callable[[BagError], object]) -> Iterator[ImuSample] | None:
        """Samples of the bag's IMU in the order of recording, read as they are asked for.

        Args:
            on_refused: called for each message that cannot be used, which is then left out.

        Returns:
            None where the bag has no IMU.
        """
        connection = find_imu(self._bag.connections)
        if connection is None:
            return None
        return read_imu(self._bag, connection, self._stays_on_vehicle, on_refused)

    def base_T_frame(self, frame: str, stamp_ns: int, topic: str) -> RigidTransform:
        """Where a sensor's frame is on the vehicle; see VehicleFrames.base_T_frame."""
        return self._frames.base_T_frame(frame, stamp_ns, topic)

    def summary(self) -> BagSummary:
        """What is in the bag, and what is wrong with it. Reads it through once."""
        problems: list[str] = []
        base_frame: str | None = None
        try:
            base_frame = self.base_frame
        except BevError as error:
            problems.append(str(error))
        overrides = {name: self._rig.override(name).camera for name in self._cameras}
        labels = self._labels.name if self._labels else None
        summary = summarize(self._bag, self._cameras, overrides, self._index, base_frame, labels)
        for name in self._cameras if base_frame is not None else ():
            try:
                self._rig.camera(name)
            except BevError as error:
                problems.append(str(error))
        return replace(summary, problems=tuple(dict.fromkeys((*summary.problems, *problems))))

    @cached_property
    def _frames(self) -> VehicleFrames:
        return VehicleFrames(self.transform_tree, self.base_frame)

    def _stays_on_vehicle(self, frame: str, log_ns: int) -> bool:
        """Whether a frame is where it is used on the vehicle, at a time of recording."""
        changes, tree = RigChanges(mountings=self._index.static_changes), self.transform_tree
        if not changes:
            return True
        between = {*tree.ancestors(frame)} ^ {*tree.ancestors(self.base_frame)}
        return changes.stays(between, log_ns)

    def _require_cameras(self) -> None:
        if not self._cameras:
            topics = sorted(f"{c.topic} ({c.msgtype})" for c in self._bag.connections)
            raise BagError(
                f"{self.path}: no camera topics; expected names such as .../image_raw, .../image "
                f"or .../image_raw/compressed; its topics are {', '.join(topics) or 'none'}; "
                f"name the image topics in a rig file"
            )

    def _chosen(self, names: Sequence[str] | None) -> list[CameraTopics]:
        cameras = self.camera_topics
        unknown = [name for name in names or () if name not in cameras]
        if unknown:
            names_text = ", ".join(map(repr, unknown))
            raise BagError(f"{self.path}: no camera {names_text}; it has {', '.join(cameras)}")
        return [cameras[name] for name in (cameras if names is None else names)]

    def _frame(
        self, connection: Connection, raw: bytes, camera: CameraTopics, stamp_ns: int
    ) -> CameraFrame:
        with about(self.path):
            return CameraFrame(camera.name, stamp_ns, self._image(connection, raw, camera))

    def _image(self, connection: Connection, raw: bytes, camera: CameraTopics) -> NDArray[np.uint8]:
        message = self._bag.decode(connection, raw)
        decode = image_from_compressed if camera.compressed else image_from_message
        image = decode(message, connection.topic)
        expected = self._rig.known_sizes.get(camera.name)
        if expected is not None and image.shape[:2] != (expected.height, expected.width):
            raise BagError(image_size_error(camera, expected, image.shape))
        return image


def _seconds(stamp_ns: int) -> str:
    return f"{stamp_ns / NANOSECONDS:.6f} s"
