# SPDX-License-Identifier: Apache-2.0
"""CARLA cameras as carla_ros_bridge and the server itself publish them, right or wrong.

The formulas of their sources, with the mistakes of real releases, written down here once more.
"""

from __future__ import annotations

import array
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bev_perception.geometry import PinholeCamera, Rig, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.ros.carla_defects import Defect
from bev_perception.ros.carla_lens_check import FoundLens

SECOND = 1_000_000_000


def published_lens(
    camera: PinholeCamera, fov_deg: float, defects: Iterable[Defect] = ()
) -> FoundLens:
    """CameraInfo as CarlaCameraPublisher fills it."""
    if Defect.NO_CALIBRATION in defects:
        return FoundLens(0, 0, [0.0] * 9)
    focal = camera.width / (2.0 * math.tan(fov_deg * math.pi / 360.0))
    if Defect.TAN_OF_DEGREES in defects:
        focal = camera.width / (2.0 * math.tan(fov_deg) * math.pi / 360.0)
    middle = 0.0 if Defect.HALF_PIXEL in defects else 0.5
    cx, cy = camera.width / 2.0 - middle, camera.height / 2.0 - middle
    k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    return FoundLens(camera.width, camera.height, k, [0.0] * 5)


def published_mounting(
    place: NDArray[np.float64],
    rpy_deg: Iterable[float],
    defects: Iterable[Defect] = (),
) -> RigidTransform:
    """TF as CarlaTransformPublisher and the bridge's Camera make it, in single precision."""
    degree = math.pi / 360.0 if Defect.HALVED_ANGLES in defects else math.pi / 180.0
    kinds = (Defect.ROLL_SIGN, Defect.PITCH_SIGN, Defect.YAW_SIGN)
    roll, pitch, yaw = (
        (-angle if kind in defects else angle) * degree for kind, angle in zip(kinds, rpy_deg)
    )
    cr, sr = math.cos(roll / 2), math.sin(roll / 2)
    cp, sp = math.cos(pitch / 2), math.sin(pitch / 2)
    cy, sy = math.cos(yaw / 2), math.sin(yaw / 2)
    quaternion = [
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    ]
    if Defect.BODY_AXES not in defects:
        swap = Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
        quaternion = (Rotation.from_quat(quaternion) * swap).as_quat().tolist()
    x, y, z = place
    place = np.array([x, -y if Defect.Y_SIGN in defects else y, z])
    return RigidTransform.from_quaternion(np.float32(quaternion), np.float32(place))


class ForeignCameras:
    """A vehicle of another publisher: bgra8 images, CameraInfo, everything on dynamic /tf.

    Args:
        client: that publishes.
        rig: where the cameras really are, in base_link.
        images: (height, width, 3) RGB by camera.
        role: of the vehicle; its TF frame.
        base_T_ego: that frame in base_link.
        prefix: of the cameras' TF frames.
        defects: what is published wrongly.
        fov_deg: of every camera.

    Attributes:
        offset_ns: added to the stamps of a camera.
        defects: of the messages to come.
    """

    def __init__(
        self,
        client: Any,
        rig: Rig,
        images: Mapping[str, NDArray[np.uint8]],
        role: str,
        base_T_ego: RigidTransform,
        prefix: str = "",
        defects: Iterable[Defect] = (),
        fov_deg: float = 100.0,
    ) -> None:
        self.client, self.rig, self.images, self.role = client, rig, images, role
        self.defects, self.fov_deg = set(defects), fov_deg
        self.offset_ns: dict[str, int] = {}
        self._base_T_ego, self._prefix = base_T_ego, prefix

    def topics(self, camera: str) -> tuple[str, str]:
        """Of images and CameraInfo."""
        return f"/carla/{self.role}/{camera}/image", f"/carla/{self.role}/{camera}/camera_info"

    def publish(self, stamp_ns: int, map_T_base: RigidTransform | None = None) -> None:
        """One tick."""
        from sensor_msgs.msg import CameraInfo, Image
        from tf2_msgs.msg import TFMessage

        transforms = []
        if map_T_base is not None:
            transforms.append(("map", self.role, map_T_base @ self._base_T_ego))
        for name in self.rig:
            ego_T_body = self._base_T_ego.inverse() @ self.rig[name].base_T_camera
            ego_T_body = ego_T_body @ BODY_T_OPTICAL.inverse()
            rpy_deg = np.degrees(ego_T_body.euler)
            published = published_mounting(ego_T_body.translation, rpy_deg, self.defects)
            transforms.append((self.role, f"{self._prefix}{name}", published))
        message = TFMessage(transforms=[_transform(stamp_ns, *entry) for entry in transforms])
        self.client.publish("/tf", message)
        for name in self.rig:
            own_ns = stamp_ns + self.offset_ns.get(name, 0)
            image_topic, info_topic = self.topics(name)
            lens = published_lens(self.rig[name].camera, self.fov_deg, self.defects)
            info = CameraInfo(width=lens.width, height=lens.height, distortion_model="plumb_bob")
            info.k, info.d = list(lens.k), list(lens.d)
            image = Image(encoding="bgra8")
            for each in (info, image):
                _stamp(each.header, own_ns, f"{self._prefix}{name}")
            alpha = np.full((*self.images[name].shape[:2], 1), 255, np.uint8)
            pixels = np.concatenate([self.images[name][..., ::-1], alpha], axis=2)
            image.height, image.width, image.step = *pixels.shape[:2], 4 * pixels.shape[1]
            image.data = array.array("B", pixels.tobytes())
            self.client.publish(info_topic, info)
            self.client.publish(image_topic, image)

    def close(self) -> None:
        """As a publisher that ends."""
        topics = [topic for name in self.rig for topic in self.topics(name)]
        for topic in ("/tf", *topics):
            if topic in self.client.topics:
                self.client.remove_publisher(topic)


def _stamp(header: Any, stamp_ns: int, frame_id: str) -> None:
    header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, SECOND)
    header.frame_id = frame_id


def _transform(stamp_ns: int, parent: str, child: str, parent_T_child: RigidTransform) -> Any:
    from geometry_msgs.msg import TransformStamped

    entry = TransformStamped(child_frame_id=child)
    _stamp(entry.header, stamp_ns, parent)
    place, turn = entry.transform.translation, entry.transform.rotation
    place.x, place.y, place.z = map(float, parent_T_child.translation)
    turn.x, turn.y, turn.z, turn.w = map(float, parent_T_child.quaternion)
    return entry
