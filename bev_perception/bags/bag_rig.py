# SPDX-License-Identifier: Apache-2.0
"""The rig of a bag: intrinsics from CameraInfo, mounting from TF, either from a rig file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.bag_index import BagIndex, message_stamp_ns
from bev_perception.bags.camera_info import CameraCalibration, calibration_from_message
from bev_perception.bags.discovery import CameraTopics
from bev_perception.bags.rig_changes import RigChanges
from bev_perception.bags.vehicle_frames import find_base_frame
from bev_perception.errors import BagError, BevError, TransformError
from bev_perception.geometry import PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.rig_file import RigFile, RigFileCamera
from bev_perception.geometry.transform_tree import OutOfRangeError

SAME_SHARE = 1e-5
"""Senders that round differently differ by less of a value: by 0.01 of 1000 pixels."""


class BagRig:
    """Cameras of one bag, each worked out when it is first asked for.

    Args:
        bag: open.
        index: of its small messages.
        topics: of its cameras, by name.
        rig_file: what it says goes before what the bag says.
    """

    def __init__(
        self,
        bag: BagFile,
        index: BagIndex,
        topics: Mapping[str, CameraTopics],
        rig_file: RigFile | None,
    ) -> None:
        self._bag, self._index, self._topics, self._rig_file = bag, index, topics, rig_file

    @cached_property
    def base_frame(self) -> str:
        """The vehicle frame.

        Raises:
            BagError: TF has no conventional one and no rig file names one.
        """
        rig_file = self._rig_file
        return rig_file.base_frame if rig_file else find_base_frame(self._index.tree)

    @cached_property
    def whole(self) -> Rig:
        """All cameras.

        Raises:
            BagError, CalibrationError: as camera.
        """
        return Rig({name: self.camera(name) for name in self._topics})

    @cached_property
    def known_sizes(self) -> dict[str, PinholeCamera]:
        """Intrinsics of the cameras that have valid ones, to check images against."""
        known = {}
        for name, topics in self._topics.items():
            override = self.override(name)
            try:
                known[name] = override.camera or calibration_of(self._index, topics).camera
            except BevError:
                continue  # told by the rig; images may be looked at without it
        return known

    def override(self, name: str) -> RigFileCamera:
        """What the rig file says of a camera."""
        return self._rig_file.cameras[name] if self._rig_file else RigFileCamera()

    def camera(self, name: str) -> RigCamera:
        """One of them.

        Raises:
            BagError, CalibrationError: no usable calibration, or no transform to base_frame.
        """
        topics = self._topics[name]
        return rig_camera(
            self._index, topics, self.base_frame, self.override(name), lambda: self._first(topics)
        )

    def changes(self, other_frames: Sequence[str]) -> RigChanges:
        """What of the rig does not stay.

        Cameras that cannot be used at all change nothing; nor do those of a rig file that gives
        what changes.

        Args:
            other_frames: of sensors beside the cameras, and of labels.
        """
        calibrations = {name: self._calibration_changes(name) for name in self._topics}
        calibrations = {
            name: told
            for name, told in calibrations.items()
            if not all(is_first for _, is_first in told)
        }
        if not self._index.static_changes:
            return RigChanges(calibrations)
        tree, frames, above_base = self._index.tree, {}, set[str]()
        with suppress(BevError):  # told by the rig
            above_base.update(tree.ancestors(self.base_frame))
        for name in self._topics:
            is_needed = self.override(name).base_T_camera is None
            with suppress(BevError):
                own = tree.ancestors(self.camera(name).frame_id) if is_needed else ()
                frames[name] = above_base.union(own)
        needed = above_base.union(*frames.values(), *map(tree.ancestors, other_frames))
        mountings = [each for each in self._index.static_changes if each.child in needed]
        return RigChanges(calibrations, mountings, frames)

    def _calibration_changes(self, name: str) -> list[tuple[int, bool]]:
        topics, override = self._topics[name], self.override(name)
        info = self._index.infos.get(topics.camera_info_topic)
        if info is None or not info.calibrations or override.camera is not None:
            return []
        meanings = [(stamp, _meaning(each, topics, override)) for stamp, each in info.calibrations]
        (_, first), *others = meanings
        if first is None:
            return []
        return [(stamp, each.is_close(first)) for stamp, each in others if each is not None]

    def _first(self, topics: CameraTopics) -> tuple[int, str]:
        """Stamp and frame_id of a camera's first image."""
        connections = [c for c in self._bag.connections if c.topic == topics.image_topic]
        for connection, log_ns, raw in self._bag.messages(connections):
            frame = self._bag.decode(connection, raw).header.frame_id
            stamp = message_stamp_ns(self._bag, connection, log_ns, raw)
            return stamp, frame.lstrip("/")
        raise BagError(f"{self._bag.path}: {topics.image_topic} holds no images; record it again")


@dataclass(frozen=True)
class _Meaning:
    """What must not change about a CameraInfo: what is equal, and what is so but for rounding."""

    names: tuple[object, ...]
    numbers: tuple[float, ...]

    def is_close(self, other: _Meaning) -> bool:
        """Whether it says the same."""
        return self.names == other.names and np.allclose(
            self.numbers, other.numbers, rtol=SAME_SHARE, atol=SAME_SHARE / 10.0
        )


def _meaning(message: Any, topics: CameraTopics, override: RigFileCamera) -> _Meaning | None:
    """That of a message, less what a rig file says instead.

    None of an impossible one, which does not end a good one, as in the live node.
    """
    try:
        found = calibration_from_message(message, topics.camera_info_topic, topics.rectified)
    except BevError:
        return None
    camera, turn = found.camera, found.camera_T_image.rotation
    names = camera.width, camera.height, camera.distortion_model, len(camera.distortion)
    numbers = *camera.matrix.flat, *camera.distortion
    if override.base_T_camera is not None:
        return _Meaning(names, numbers)
    return _Meaning((*names, override.frame_id or found.frame_id), (*numbers, *turn.flat))


def calibration_of(index: BagIndex, topics: CameraTopics) -> CameraCalibration:
    """Calibration of a camera from its first CameraInfo.

    Raises:
        BagError: the bag holds none for it.
        CalibrationError: it is not calibrated, or impossible.
    """
    info = index.infos.get(topics.camera_info_topic)
    if info is None or not info.calibrations:
        raise BagError(
            f"camera {topics.name!r} ({topics.image_topic}) has no CameraInfo: nothing on "
            f"{topics.camera_info_topic}; record that topic, or name it or the intrinsics in a "
            f"rig file"
        )
    return calibration_from_message(
        info.calibrations[0][1], topics.camera_info_topic, topics.rectified
    )


def rig_camera(
    index: BagIndex,
    topics: CameraTopics,
    base_frame: str,
    override: RigFileCamera,
    first_image: Callable[[], tuple[int, str]],
) -> RigCamera:
    """One camera of the rig.

    Args:
        index: of the bag.
        topics: of the camera.
        base_frame: the vehicle frame.
        override: what a rig file says.
        first_image: gives stamp and frame_id of the camera's first image.

    Raises:
        BagError, CalibrationError: no usable calibration or no transform to base_frame.
    """

    def base_T_frame(frame: str) -> tuple[RigidTransform, str]:
        info = index.infos.get(topics.camera_info_topic)
        stamps = info.stamps_ns if info else []
        if not frame or not stamps:
            stamp, image_frame = first_image()
            frame, stamps = frame or image_frame, stamps or [stamp]
        if not frame:
            raise BagError(
                f"camera {topics.name!r}: frame_id is empty in {topics.image_topic} and "
                f"{topics.camera_info_topic}; name its optical frame in a rig file"
            )
        return mounting(index, base_frame, frame, stamps, topics.name), frame

    return mounted_camera(override, lambda: calibration_of(index, topics), base_T_frame)


def mounted_camera(
    override: RigFileCamera,
    calibration: Callable[[], CameraCalibration],
    base_T_frame: Callable[[str], tuple[RigidTransform, str]],
) -> RigCamera:
    """Puts calibration and mounting together, the same for bags and for live cameras.

    Args:
        override: what a rig file says; wins.
        calibration: from CameraInfo; asked only without intrinsics in the rig file.
        base_T_frame: mounting of an optical frame and that frame's name, for the name known
            so far (perhaps empty); asked only without a mounting in the rig file.
    """
    camera, camera_T_image, frame = override.camera, RigidTransform.identity(), override.frame_id
    if camera is None:
        found = calibration()
        camera, camera_T_image = found.camera, found.camera_T_image
        frame = frame or found.frame_id
    if override.base_T_camera is not None:
        return RigCamera(camera, override.base_T_camera, frame or "")
    base_T_named, frame = base_T_frame(frame or "")
    return RigCamera(camera, base_T_named @ camera_T_image, frame)


def mounting(
    index: BagIndex, base_frame: str, frame: str, stamps_ns: Iterable[int], name: str
) -> RigidTransform:
    """``base_T_frame`` at the first stamp at which TF knows it.

    A mounting may come on /tf among moving transforms, as carla_ros_bridge sends it.

    Raises:
        BagError: TF never connects the two.
    """
    last: TransformError | None = None
    for stamp in stamps_ns:
        try:
            return index.tree.lookup(base_frame, frame, stamp)
        except OutOfRangeError as error:
            last = error
        except TransformError as error:
            last = error
            break
    raise BagError(
        f"camera {name!r}: no transform from its frame {frame!r} to the vehicle frame "
        f"{base_frame!r}: {last}; "
        + "".join(f"{sentence}; " for sentence in index.refused[:1])
        + "record /tf_static, or give position and rpy_deg in a rig file"
    )


def image_size_error(topics: CameraTopics, camera: PinholeCamera, shape: tuple[int, ...]) -> str:
    """What to say when an image's size is not its calibration's."""
    return (
        f"{topics.image_topic}: image is {shape[1]}x{shape[0]} but its calibration "
        f"({topics.camera_info_topic} or rig file) is for {camera.width}x{camera.height}; "
        f"record the CameraInfo that belongs to these images"
    )
