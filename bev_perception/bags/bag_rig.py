# SPDX-License-Identifier: Apache-2.0
"""The rig of a bag: intrinsics from CameraInfo, mounting from TF, either from a rig file."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bev_perception.bags.bag_index import BagIndex
from bev_perception.bags.camera_info import CameraCalibration, calibration_from_message
from bev_perception.bags.discovery import CameraTopics
from bev_perception.errors import BagError, TransformError
from bev_perception.geometry import PinholeCamera, RigCamera, RigidTransform
from bev_perception.geometry.rig_file import RigFileCamera
from bev_perception.geometry.transform_tree import OutOfRangeError


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
