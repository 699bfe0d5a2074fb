# SPDX-License-Identifier: Apache-2.0
"""The rig of live cameras: intrinsics from CameraInfo, mounting from TF, either from a rig file."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from sensor_msgs.msg import CameraInfo

from bev_perception.bags.bag_rig import mounted_camera
from bev_perception.bags.camera_info import CameraCalibration, calibration_from_message
from bev_perception.errors import BevError, CalibrationError, TransformError
from bev_perception.geometry import Rig, RigCamera, RigidTransform, TransformTree
from bev_perception.geometry.rig_file import RigFileCamera

SAME_METRES = 1e-3
SAME_RADIANS = math.radians(0.02)
"""Mountings closer than these are the same: senders round, and a rebuild takes a core."""


class CameraInfoMissingError(CalibrationError):
    """No CameraInfo has come yet."""


class CameraInfoSpoiledError(CalibrationError):
    """The newest CameraInfo is impossible; the one before it is still used."""


class LiveRig:
    """Collects what is known of the cameras and tells when the rig has changed.

    Args:
        info_topics: CameraInfo topic by camera, in the rig's order; for messages.
        tree: fed from /tf and /tf_static.
        base_frame: TF frame of the vehicle.
        rectified: cameras whose images are rectified.
        overrides: what a rig file says, by camera.
    """

    def __init__(
        self,
        info_topics: Mapping[str, str],
        tree: TransformTree,
        base_frame: str,
        rectified: Collection[str] = (),
        overrides: Mapping[str, RigFileCamera] | None = None,
    ) -> None:
        self._info_topics = dict(info_topics)
        self._tree = tree
        self._base_frame = base_frame
        self._rectified = frozenset(rectified)
        self._overrides = dict(overrides or {})
        self._infos: dict[str, CameraInfo] = {}
        self._calibrations: dict[str, CameraCalibration | CalibrationError] = {}
        self._spoiled: dict[str, CameraInfoSpoiledError] = {}
        self._image_frames: dict[str, str] = {}
        self._cameras: dict[str, RigCamera] = {}
        self._problems: dict[str, BevError] = {}
        self._mountings: dict[str, RigidTransform] = {}
        self._is_stale = True
        self._may_move = False

    @property
    def problems(self) -> Mapping[str, BevError]:
        """Why a camera is not in the rig, or not as its CameraInfo says, by camera.

        CameraInfoMissingError, CameraInfoSpoiledError, CalibrationError or TransformError.
        """
        return {**self._spoiled, **self._problems}

    @property
    def is_complete(self) -> bool:
        """Whether every camera is in the rig."""
        return len(self._cameras) == len(self._info_topics)

    def add_info(self, camera: str, message: CameraInfo | CalibrationError) -> bool:
        """A CameraInfo came; whether it says something new.

        An impossible one does not replace a good one: a driver that loses its calibration has not
        lost its lens.

        Args:
            camera: its name.
            message: or why what came cannot be read.
        """
        if isinstance(message, CalibrationError):
            self._infos.pop(camera, None)  # whatever comes next says something else
            self._refuse_info(camera, message)
            return True
        before = self._infos.get(camera)
        if before is not None and _same_info(before, message):
            return False
        self._infos[camera] = message
        try:
            self._calibrations[camera] = calibration_from_message(
                message, self._info_topics[camera], camera in self._rectified
            )
            self._spoiled.pop(camera, None)
            self._is_stale = True
        except CalibrationError as error:
            self._refuse_info(camera, error)
        return True

    def _refuse_info(self, camera: str, error: CalibrationError) -> None:
        if isinstance(self._calibrations.get(camera, error), CalibrationError):
            self._calibrations[camera] = error
        else:
            self._spoiled[camera] = CameraInfoSpoiledError(
                f"{error}; going on with the CameraInfo before it"
            )
        self._is_stale = True

    def add_image_frame(self, camera: str, frame_id: str) -> None:
        """frame_id of a camera's images, for a CameraInfo that names none."""
        if self._image_frames.get(camera) != frame_id:
            self._image_frames[camera] = frame_id
            self._is_stale = True

    def add_transforms(self) -> None:
        """Static transforms of the tree have changed, or first ones come."""
        self._is_stale = True

    def changed_rig(self) -> Rig | None:
        """The rig where it differs from the one returned last; None where it does not.

        Cheap while nothing has changed. A camera that once was mounted keeps its mounting
        until TF tells another one.
        """
        if not self._is_stale and not self._may_move:
            return None
        self._is_stale, self._may_move = False, False
        before = dict(self._cameras)
        for name in self._info_topics:
            try:
                self._update(name)
                self._problems.pop(name, None)
            except (CalibrationError, TransformError) as error:
                self._problems[name] = error
                self._cameras.pop(name, None)
        if self._cameras == before or not self._cameras:
            return None
        return Rig(
            {name: self._cameras[name] for name in self._info_topics if name in self._cameras}
        )

    def _update(self, name: str) -> None:
        found = mounted_camera(
            self._overrides.get(name, RigFileCamera()),
            lambda: self._calibration(name),
            lambda frame: self._mounting(name, frame),
        )
        known = self._cameras.get(name)
        if known is None or not _same_camera(known, found):
            self._cameras[name] = found

    def _calibration(self, name: str) -> CameraCalibration:
        found = self._calibrations.get(name)
        if found is None:
            raise CameraInfoMissingError(
                f"no CameraInfo on {self._info_topics[name]}; start the driver's camera_info, "
                f"remap the topic, or give the intrinsics in a rig file"
            )
        if isinstance(found, CalibrationError):
            raise found
        return found

    def _mounting(self, name: str, frame: str) -> tuple[RigidTransform, str]:
        frame = frame or self._image_frames.get(name, "").lstrip("/")
        if not frame:
            raise TransformError(
                f"camera {name!r}: frame_id is empty in its image and in "
                f"{self._info_topics[name]}; name its optical frame in a rig file"
            )
        try:
            latest_ns = self._tree.latest_ns(self._base_frame, frame)
            self._may_move |= latest_ns is not None
            mounting = self._tree.lookup(self._base_frame, frame, latest_ns or 0)
        except TransformError as error:
            self._may_move = True
            if frame in self._mountings:
                return self._mountings[frame], frame
            raise TransformError(
                f"camera {name!r}: no transform from its frame {frame!r} to the vehicle frame "
                f"{self._base_frame!r}: {error}; publish it on /tf_static, or give position and "
                f"rpy_deg in a rig file"
            ) from error
        self._mountings[frame] = mounting
        return mounting, frame


def _same_info(first: CameraInfo, second: CameraInfo) -> bool:
    """Whether two CameraInfos say the same, their stamps aside."""
    return (
        first.header.frame_id == second.header.frame_id
        and first.width == second.width
        and first.height == second.height
        and first.distortion_model == second.distortion_model
        and first.d == second.d
        and bool((first.k == second.k).all())
        and bool((first.r == second.r).all())
        and bool((first.p == second.p).all())
        and first.binning_x == second.binning_x
        and first.binning_y == second.binning_y
        and first.roi == second.roi
    )


def _same_camera(first: RigCamera, second: RigCamera) -> bool:
    return (
        first.camera == second.camera
        and first.frame_id == second.frame_id
        and first.base_T_camera.is_close(second.base_T_camera, SAME_METRES, SAME_RADIANS)
    )
