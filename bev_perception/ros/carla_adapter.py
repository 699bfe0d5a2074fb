# SPDX-License-Identifier: Apache-2.0
"""Checks the CARLA cameras of another publisher, then publishes what is true about them.

Images are not touched: perception reads them where they are. Beside them come, once the check
has been passed, CameraInfo on /camera/<name>/camera_info and the mounting on /tf_static, both
as the rig file declares them, and the bridge's objects on /ground_truth/objects.
"""

from __future__ import annotations

import threading
import time

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage

from bev_perception.bags.bag_writer import BASE_FRAME
from bev_perception.errors import CalibrationError, ConfigurationError
from bev_perception.geometry import Rig, RigidTransform
from bev_perception.geometry.rig_file import load_rig
from bev_perception.ros.carla_adapter_settings import AdapterSettings
from bev_perception.ros.carla_checks import CheckReport, check_cameras
from bev_perception.ros.carla_defects import SIGNS, Defect
from bev_perception.ros.carla_evidence import CarlaEvidence
from bev_perception.ros.carla_objects import CarlaObjects
from bev_perception.ros.declared_settings import declare_settings
from bev_perception.ros.image_messages import camera_info_message
from bev_perception.ros.stamps import stamp_ns
from bev_perception.ros.transform_messages import transforms_message

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LOOK_UP_S = 0.05
REMINDER_S = 5.0
POSE_DEFECTS = SIGNS | {Defect.HALVED_ANGLES}
"""Who publishes these of cameras publishes them of the vehicle, too."""


def adapt(node: Node, stop: threading.Event) -> None:
    """Listens, checks, then corrects until stop is set; another thread spins the node.

    Raises:
        CalibrationError: what the cameras send cannot be mended, or changes later.
        ConfigurationError: a parameter cannot be used, or cameras do not come in time.
    """
    settings = declare_settings(node, AdapterSettings, "adapter")
    if len(settings.ego_position) != 3:
        raise ConfigurationError(
            f"parameter ego_position of the adapter node: {list(settings.ego_position)} must be "
            f"[x, y, z] in metres"
        )
    _Adapter(node, load_rig(settings.rig_path), settings).run(stop)


class _Adapter:
    """The life of one adapter.

    Args:
        node: gets publishers and subscriptions.
        rig: what must be true.
        settings: see there.
    """

    def __init__(self, node: Node, rig: Rig, settings: AdapterSettings) -> None:
        self._log, self._rig, self._settings = node.get_logger(), rig, settings
        self._checked: dict[str, CameraInfo] = {}
        self._is_open = False
        self._changed = ""
        self._tf_static = node.create_publisher(TFMessage, "/tf_static", LATCHED)
        self._infos = {
            name: node.create_publisher(CameraInfo, f"/camera/{name}/camera_info", 10)
            for name in rig
        }
        self._evidence = CarlaEvidence(node, rig, settings, self._pass_on)
        self._objects = CarlaObjects(node, settings.objects_topics)

    def run(self, stop: threading.Event) -> None:
        """Until stop is set."""
        self._listen(stop)
        if stop.is_set():
            return
        report = check_cameras(
            self._rig,
            self._evidence.found,
            round(self._settings.stamp_tolerance_ms * 1e6),
            self._settings.mounted_as_rig,
        )
        self._tell(report)
        if report.refusal:
            raise CalibrationError(report.refusal)
        self._publish_mounting(report)
        self._is_open = True
        while not stop.wait(LOOK_UP_S):
            self._objects.look()
            if self._changed:
                raise CalibrationError(self._changed)

    def _listen(self, stop: threading.Event) -> None:
        """Until every camera is known; says now and then what is missing."""
        limit_s, started = self._settings.check_timeout_s, time.monotonic()
        due = started + REMINDER_S
        self._log.info(
            f"listening to {self._settings.source}: "
            f"{', '.join(map(self._settings.image_topic_of, self._rig))}"
        )
        while not self._evidence.complete.wait(LOOK_UP_S) and not stop.is_set():
            now, missing = time.monotonic(), "; ".join(self._evidence.missing())
            if limit_s and now - started >= limit_s:
                raise ConfigurationError(
                    f"the cameras of source {self._settings.source} are not complete after "
                    f"{limit_s:g} s: {missing}"
                )
            if now >= due:
                self._log.info(f"waiting: {missing}")
                due += REMINDER_S

    def _tell(self, report: CheckReport) -> None:
        for name in self._rig:
            text = report.camera_text(name)
            if report.problems(name) or report.defects(name):
                self._log.warning(text)
            else:
                self._log.info(text)
        if report.stamps.warning:
            self._log.warning(report.stamps.warning)

    def _publish_mounting(self, report: CheckReport) -> None:
        mounts = [
            (BASE_FRAME, _frame(name), entry.base_T_camera)
            for name, entry in self._rig.cameras.items()
        ]
        spoilt = [kind for kind in report.mountings.defects if kind in POSE_DEFECTS]
        if spoilt:
            self._log.warning(
                f"{BASE_FRAME} is not connected with {self._settings.vehicle_frame}, whose pose "
                f"has {' and '.join(kind.fault for kind in spoilt)}, too: the map is not levelled, "
                f"and objects in it are no ground truth"
            )
        else:
            self._objects.open()
            ego_T_base: RigidTransform = self._settings.base_T_ego.inverse()
            mounts.insert(0, (self._settings.vehicle_frame, BASE_FRAME, ego_T_base))
        stamp = min(found.stamps_ns[0] for found in self._evidence.found.values())
        self._tf_static.publish(transforms_message(stamp, mounts))

    def _pass_on(self, camera: str, message: CameraInfo) -> None:
        """The declared CameraInfo in the place of what came, stamp by stamp."""
        checked = self._checked.setdefault(camera, message)
        if not self._is_open:
            self._checked[camera] = message
        elif _said(message) != _said(checked):
            self._changed = (
                f"camera {camera!r}: {self._settings.info_topic_of(camera)} says something else "
                f"than when it was checked; start again, the cameras are no longer the same"
            )
        else:
            stamp, lens = stamp_ns(message.header.stamp), self._rig[camera].camera
            self._infos[camera].publish(camera_info_message(lens, stamp, _frame(camera)))


def _frame(camera: str) -> str:
    """A frame of our own, which the publisher's wrong transforms leave alone."""
    return f"{camera}_optical_frame"


def _said(message: CameraInfo) -> tuple[object, ...]:
    values = tuple(map(float, message.k)), tuple(message.d)
    return message.header.frame_id, message.width, message.height, *values
