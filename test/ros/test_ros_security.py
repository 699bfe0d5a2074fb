# SPDX-License-Identifier: Apache-2.0
"""SROS2: rights are what nodes really use, and what asks for security never runs without."""

from __future__ import annotations

import importlib.util
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from ros_client import Client
from ros_processes import wait_for

from bev_perception.errors import ConfigurationError, SystemLibraryError
from bev_perception.ros.publishers import LATENCY_STAGES
from bev_perception.ros.security import POLICY_FILE, make_keystore, security_environment
from bev_perception.ros.security_policy import NodePolicy, SecuredTopics, policies

CAMERAS = ("front", "left", "rear", "right")
WITHOUT_SECURITY = "was built without security"


def policy(enclave: str, **options: Any) -> NodePolicy:
    return next(p for p in policies(SecuredTopics(CAMERAS, **options)) if p.enclave == enclave)


def graph(client: Client, name: str) -> dict[str, set[str]]:
    """Topics and services that a running node has."""
    node = client.node
    questions = {
        "publish": node.get_publisher_names_and_types_by_node,
        "subscribe": node.get_subscriber_names_and_types_by_node,
        "reply": node.get_service_names_and_types_by_node,
        "request": node.get_client_names_and_types_by_node,
    }
    return {right: {topic for topic, _ in ask(name, "/")} for right, ask in questions.items()}


def settled_graph(client: Client, name: str, least: int) -> dict[str, set[str]]:
    """The same, once discovery has brought everything: three looks alike."""
    looks: list[dict[str, set[str]]] = []

    def is_settled() -> bool:
        if (name, "/") not in client.node.get_node_names_and_namespaces():
            return False
        looks.append(graph(client, name))
        newest = looks[-3:]
        rich = sum(map(len, newest[-1].values())) >= least
        return rich and len(newest) == 3 and newest[0] == newest[1] == newest[2]

    wait_for(is_settled, what=f"the whole graph of {name}")
    return looks[-1]


def test_the_perception_nodes_rights_are_what_it_has_in_the_graph(
    perception_node: Callable[..., Any], client: Client
) -> None:
    perception_node()
    seen, rights = settled_graph(client, "bev", 35), policy("perception")
    unneeded = {
        "publish": {"/bev/labelled_points"},  # where the parameter is on
        # for the other image_transport, for use_sim_time, and for networks that take points
        "subscribe": {f"/camera/{name}/image_raw/compressed" for name in CAMERAS}
        | {"/clock", "/lidar/points", "/imu/data"},
        "reply": {"/bev/get_type_description"},  # not in Humble
        "request": set(),
    }
    for right, expected in unneeded.items():
        allowed = set(getattr(rights, right))
        assert seen[right] <= allowed, (right, seen[right] - allowed)
        assert allowed - seen[right] <= expected, (right, allowed - seen[right])


def test_rights_of_a_command_are_those_of_every_node_and_no_publishing(client: Client) -> None:
    """What rclpy gives every node, by the node of this test; and the recorder publishes nothing."""
    seen = settled_graph(client, client.node.get_name(), 8)
    for enclave, name in (("recorder", "bev_recorder"), ("viewer", "bev_viewer")):
        rights = policy(enclave)
        own = client.node.get_name()
        assert {topic.replace(own, name) for topic in seen["reply"]} <= set(rights.reply)
        assert seen["publish"] == set(rights.publish)
        assert rights.request == ()


def test_nobody_but_the_operator_may_call_the_perception_node() -> None:
    everyone = policies(SecuredTopics(CAMERAS))
    assert [each.enclave for each in everyone if each.request] == ["operator"]
    assert "/bev/set_parameters" in policy("operator").request
    talkers = [each.enclave for each in everyone if "/camera/front/image_raw" in each.publish]
    assert talkers == ["town", "carla", "player", "drivers"]
    assert not any("/bev/occupancy_grid" in p.publish for p in everyone
                   if p.enclave not in ("perception", "player"))  # fmt: skip
    assert set(policy("perception").publish) >= {
        f"/bev/debug/latency_ms/{stage}" for stage in LATENCY_STAGES
    }


def test_namespaces_and_topic_patterns_reach_the_policy() -> None:
    rights = policy(
        "perception", namespace="car1", image_topic="/sensing/{camera}/image",
        camera_info_topic="/sensing/{camera}/info",
    )  # fmt: skip
    assert "/car1/bev/occupancy_grid" in rights.publish
    assert {"/sensing/rear/image", "/sensing/rear/info"} <= set(rights.subscribe)
    assert "/car1/bev/set_parameters" in rights.reply
    with pytest.raises(ConfigurationError, match=r"\{camera\}"):
        SecuredTopics(CAMERAS, image_topic="/image")


def test_without_sros2_the_policy_is_written_and_the_way_to_keys_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sros2", None)
    with pytest.raises(SystemLibraryError, match=r"sros2.*generate_artifacts"):
        make_keystore(tmp_path / "keys", policies(SecuredTopics(CAMERAS)))
    root = ElementTree.parse(tmp_path / "keys" / POLICY_FILE).getroot()
    paths = [enclave.get("path") for enclave in root.iter("enclave")]
    assert "/bev_perception/perception" in paths
    assert len(paths) == len(set(paths)) == len(policies(SecuredTopics(CAMERAS)))
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(importlib.util.find_spec("sros2") is None, reason="sros2 is not installed")
def test_permissions_are_signed_and_deny_everything_else(tmp_path: Path) -> None:
    keystore = tmp_path / "keys"
    make_keystore(keystore, policies(SecuredTopics(CAMERAS)))
    enclave = keystore / "enclaves" / "bev_perception" / "perception"
    root = ElementTree.parse(enclave / "permissions.xml").getroot()
    assert [entry.text for entry in root.iter("default")] == ["DENY"]
    topics = {topic.text for topic in root.iter("topic")}
    assert {"rt/bev/occupancy_grid", "rt/camera/front/image_raw"} <= topics
    assert not any("*" in (topic or "") and "Reply" not in topic for topic in topics)
    command = ["openssl", "smime", "-verify", "-in", enclave / "permissions.p7s",
               "-CAfile", enclave / "permissions_ca.cert.pem"]  # fmt: skip
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    make_keystore(keystore, policies(SecuredTopics(("front",))))  # again: keys stay
    assert "rt/camera/left" not in (enclave / "permissions.xml").read_text()
    assert security_environment(str(keystore))["ROS_SECURITY_STRATEGY"] == "Enforce"


def test_security_without_a_keystore_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs keystore:="):
        security_environment("")
    with pytest.raises(ConfigurationError, match="is no keystore"):
        security_environment(str(tmp_path))


def test_a_node_that_shall_be_secure_never_starts_without_security(
    perception_node: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty enclave: DDS with security refuses it as well, in words of its own."""
    (tmp_path / "enclaves" / "bev_perception" / "perception").mkdir(parents=True)
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    monkeypatch.setenv("ROS_SECURITY_STRATEGY", "Enforce")
    monkeypatch.setenv("ROS_SECURITY_KEYSTORE", str(tmp_path))
    monkeypatch.setenv("ROS_SECURITY_ENCLAVE_OVERRIDE", "/bev_perception/perception")
    node = perception_node()
    assert node.wait() != 0
    assert "first grid" not in node.log
    if WITHOUT_SECURITY in node.log:
        assert node.wait() == 2
        assert "Traceback" not in node.log
