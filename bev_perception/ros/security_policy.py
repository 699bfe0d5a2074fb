# SPDX-License-Identifier: Apache-2.0
"""What each node may do under SROS2: the topics and services it has, and no others.

Plain data; a test compares it with what the running nodes have in the graph.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bev_perception.errors import ConfigurationError

POLICY_VERSION = "0.2.0"
ROOT_ENCLAVE = "/bev_perception"

LATENCY_STAGES = (
    "age", "decode", "engine", "node", "objects", "prepare", "publish", "table", "total", "wait",
)  # fmt: skip
_EVERY_NODE_PUBLISHES = ("/parameter_events", "/rosout")
_EVERY_NODE_REPLIES = (
    "describe_parameters", "get_parameter_types", "get_parameters", "get_type_description",
    "list_parameters", "set_parameters", "set_parameters_atomically",
)  # fmt: skip
_LIFECYCLE = (
    "change_state", "get_available_states", "get_available_transitions", "get_state",
    "get_transition_graph",
)  # fmt: skip
_OUTPUTS = (
    "centers", "instances", "labelled_points", "markers", "objects", "occupancy_grid",
    "probability_grid",
)  # fmt: skip


@dataclass(frozen=True)
class NodePolicy:
    """One node's rights.

    Attributes:
        enclave: last part of its enclave's name.
        node: its name; what runs as commands has one name as well.
        namespace: of the node, ``/`` for none.
        publish, subscribe: full names of topics.
        reply, request: full names of services.
    """

    enclave: str
    node: str
    namespace: str = "/"
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    request: tuple[str, ...] = ()

    @property
    def enclave_path(self) -> str:
        """For ``--enclave``."""
        return f"{ROOT_ENCLAVE}/{self.enclave}"

    def to_xml(self) -> ElementTree.Element:
        """The enclave's element of a policy of sros2."""
        enclave = ElementTree.Element("enclave", path=self.enclave_path)
        profiles = ElementTree.SubElement(enclave, "profiles")
        profile = ElementTree.SubElement(profiles, "profile", ns=self.namespace, node=self.node)
        for kind, right, names in (
            ("service", "reply", self.reply), ("service", "request", self.request),
            ("topic", "publish", self.publish), ("topic", "subscribe", self.subscribe),
        ):  # fmt: skip
            if names:
                group = ElementTree.SubElement(profile, f"{kind}s", {right: "ALLOW"})
                for name in sorted(set(names)):
                    ElementTree.SubElement(group, kind).text = name
        return enclave


@dataclass(frozen=True)
class SecuredTopics:
    """Names that policies are made for.

    Attributes:
        cameras: names.
        image_topic, camera_info_topic: with {camera} where the name stands.
        points_topic: of the point clouds that some networks take.
        imu_topic: of the IMU, for the parameter imu.
        namespace: of the perception node, without slashes at its ends.
        node: name of the perception node.
    """

    cameras: Sequence[str] = ("front", "left", "rear", "right")
    image_topic: str = "/camera/{camera}/image_raw"
    camera_info_topic: str = "/camera/{camera}/camera_info"
    points_topic: str = "/lidar/points"
    namespace: str = ""
    node: str = "bev"
    imu_topic: str = "/imu/data"

    def __post_init__(self) -> None:
        for topic in (self.image_topic, self.camera_info_topic):
            if not topic.startswith("/") or ("{camera}" not in topic and len(self.cameras) > 1):
                raise ConfigurationError(
                    f"topic {topic!r} must begin with / and hold {{camera}} where a camera's name "
                    f"stands, as in /camera/{{camera}}/image_raw"
                )
        for topic in (self.points_topic, self.imu_topic):
            if not topic.startswith("/"):
                raise ConfigurationError(f"topic {topic!r} must begin with /")

    @property
    def images(self) -> tuple[str, ...]:
        """Raw and compressed image topics."""
        names = [self.image_topic.replace("{camera}", camera) for camera in self.cameras]
        return tuple(names + [f"{name}/compressed" for name in names])

    @property
    def infos(self) -> tuple[str, ...]:
        """CameraInfo topics."""
        return tuple(self.camera_info_topic.replace("{camera}", name) for name in self.cameras)

    @property
    def full_name(self) -> str:
        """Of the perception node."""
        return f"/{self.namespace}/{self.node}" if self.namespace else f"/{self.node}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Of the perception node, those that others read."""
        return _below(self.full_name, _OUTPUTS)

    @property
    def latencies(self) -> tuple[str, ...]:
        """Its debugging topics."""
        return _below(f"{self.full_name}/debug/latency_ms", LATENCY_STAGES)


def policies(topics: SecuredTopics) -> list[NodePolicy]:
    """Rights of every node and command of this package, of camera drivers and of an operator."""
    moving = ("/tf", "/tf_static")
    sensors = (*topics.images, *topics.infos, topics.points_topic, topics.imu_topic)
    sources = ("/clock", "/ground_truth/objects", "/odom", *moving, *sensors)
    everything = (*sources, *topics.outputs, *topics.latencies, "/diagnostics")
    bev = topics.full_name
    namespace = f"/{topics.namespace}"
    return [
        _node("perception", topics.node, namespace,
              publish=(*topics.outputs, *topics.latencies, "/diagnostics",
                       f"{bev}/transition_event"),
              subscribe=(*sensors, *moving, "/clock"),
              reply=_below(bev, _LIFECYCLE)),
        _node("town", "town", publish=sources, subscribe=(f"{bev}/occupancy_grid",)),
        _node("carla", "carla", publish=sources, subscribe=(f"{bev}/occupancy_grid",)),
        _node("carla_adapter", "carla_adapter",
              publish=("/tf_static", "/ground_truth/objects", *topics.infos),
              subscribe=("/carla/*", "/clock", *moving)),
        _node("recorder", "bev_recorder", subscribe=everything),
        _node("rosbag2", "rosbag2_recorder", publish=("/events/write_split",),
              subscribe=everything, reply=("/rosbag2_recorder/*",)),
        _node("player", "bev_player", publish=everything),
        _node("viewer", "bev_viewer", subscribe=everything),
        _node("doctor", "bev_doctor", subscribe=everything),
        _node("rviz", "rviz2", subscribe=everything),
        _node("drivers", "*", publish=(*sensors, *moving, "/odom"),
              subscribe=("/clock",)),
        NodePolicy("operator", "*", publish=_EVERY_NODE_PUBLISHES, subscribe=("/diagnostics",),
                   request=_below(bev, (*_EVERY_NODE_REPLIES, *_LIFECYCLE))),
    ]  # fmt: skip


def policy_xml(nodes: Iterable[NodePolicy]) -> str:
    """The policy file that ``ros2 security`` reads."""
    root = ElementTree.Element("policy", version=POLICY_VERSION)
    enclaves = ElementTree.SubElement(root, "enclaves")
    enclaves.extend(node.to_xml() for node in nodes)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _node(
    enclave: str,
    node: str,
    namespace: str = "/",
    publish: tuple[str, ...] = (),
    subscribe: tuple[str, ...] = (),
    reply: tuple[str, ...] = (),
) -> NodePolicy:
    """With what every rclpy node has."""
    base = f"{namespace.rstrip('/')}/{node}"
    own = _below(base, _EVERY_NODE_REPLIES)
    return NodePolicy(
        enclave, node, namespace, (*publish, *_EVERY_NODE_PUBLISHES), subscribe, (*reply, *own)
    )


def _below(base: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{base}/{name}" for name in names)
