# SPDX-License-Identifier: Apache-2.0
"""Parameters of the node that makes another publisher's CARLA cameras usable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bev_perception.geometry import RigidTransform
from bev_perception.resources import config_path
from bev_perception.ros.declared_settings import MAX_INTEGER, parameter

ROLES = {"ros_bridge": "ego_vehicle", "native": "hero"}
"""The vehicle's name in the examples of each source."""


@dataclass(frozen=True)
class AdapterSettings:
    """Where the cameras are heard, and what is expected of them."""

    source: str = parameter(
        "ros_bridge",
        "Who publishes: carla_ros_bridge, or the CARLA server itself (native)",
        choices=tuple(ROLES),
    )
    rig_file: str = parameter(
        "",
        "What must be true: the cameras as they were spawned, a YAML file; empty takes the "
        "shipped four",
    )
    role_name: str = parameter(
        "", "The vehicle's role_name, or ros_name; empty: ego_vehicle of the bridge, hero natively"
    )
    image_topic: str = parameter(
        "/carla/{role}/{camera}/image", "Images; {role} and {camera} stand for the names"
    )
    camera_info_topic: str = parameter(
        "/carla/{role}/{camera}/camera_info", "CameraInfo; {role} and {camera} stand for the names"
    )
    objects_topic: str = parameter(
        "/carla/{role}/objects",
        "Objects of carla_ros_bridge, which become ground truth; where nothing comes on it, "
        "/carla/objects does. Empty for none; {role} stands for the name",
    )
    ego_frame: str = parameter("", "TF frame of the simulator's vehicle; empty: its role name")
    ego_position: tuple[float, ...] = parameter(
        (1.4, 0.0, 0.0),
        "Where that frame lies in base_link, [x, y, z] in metres: CARLA has it on the ground "
        "below the vehicle's middle, base_link is below the rear axle",
    )
    checked_images: int = parameter(
        5, "Images of every camera that are waited for before the check", 1, 1000
    )
    check_timeout_s: float = parameter(
        60.0,
        "Ends with exit code 2 where the cameras are not complete by then, seconds; 0 waits on",
        0.0,
        float(MAX_INTEGER),
    )
    stamp_tolerance_ms: float = parameter(
        50.0,
        "Largest difference between the stamps of one tick, milliseconds; the sync_tolerance_ms "
        "of perception",
        0.0,
        10_000.0,
    )
    mounted_as_rig: bool = parameter(
        False,
        "The cameras are known to be where the rig file has them, so that angles or y of the "
        "wrong sign are a mistake of TF; otherwise those are refused",
    )

    @property
    def rig_path(self) -> Path:
        """The rig file, the shipped one where none is named."""
        return Path(self.rig_file) if self.rig_file else config_path("rigs/default.yaml")

    @property
    def role(self) -> str:
        """The vehicle's name."""
        return self.role_name or ROLES[self.source]

    @property
    def vehicle_frame(self) -> str:
        """TF frame of the simulator's vehicle."""
        return self.ego_frame or self.role

    @property
    def base_T_ego(self) -> RigidTransform:
        """The simulator's vehicle frame in base_link."""
        return RigidTransform.from_euler(translation=self.ego_position)

    def image_topic_of(self, camera: str) -> str:
        """Where a camera's images are."""
        return self._filled(self.image_topic, camera)

    def info_topic_of(self, camera: str) -> str:
        """Where a camera's CameraInfo is."""
        return self._filled(self.camera_info_topic, camera)

    @property
    def objects_topics(self) -> tuple[str, ...]:
        """Where objects are, best first; nowhere natively, as the server publishes none."""
        if self.source == "native" or not self.objects_topic:
            return ()
        return tuple(dict.fromkeys((self._filled(self.objects_topic), "/carla/objects")))

    def _filled(self, template: str, camera: str = "") -> str:
        return template.replace("{role}", self.role).replace("{camera}", camera)
