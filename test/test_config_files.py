# SPDX-License-Identifier: Apache-2.0
"""Files of config/ agree with the code that reads them, and with each other."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from bev_perception.resources import config_path

FAST_DDS = "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}"
PARAMETER_FILE = config_path("perception.yaml")
LAUNCH_FILE = Path(__file__).parents[1] / "launch" / "perception.launch.py"
CAMERAS = ("front", "left", "rear", "right")
SHOWN = {
    **{f"/camera/{name}/image_raw": "Image" for name in CAMERAS},
    "/bev/occupancy_grid": "Map",
    "/bev/probability_grid": "Map",
    "/bev/centers": "PointCloud2",
    "/bev/instances": "PointCloud2",
    "/bev/markers": "MarkerArray",
    "/ground_truth/objects": "MarkerArray",
}
UNTIL_TICKED = {"/bev/instances"}
"""Not subscribed until somebody wants to see them."""


@pytest.fixture(name="declared", scope="module")
def fixture_declared() -> dict[str, Any]:
    """Defaults of the perception node by parameter."""
    pytest.importorskip("rclpy", reason="needs ROS 2")
    from bev_perception.ros.parameter_table import PARAMETERS

    return {name: entry.default for name, entry in PARAMETERS.items()}


def shipped_parameters() -> dict[str, Any]:
    content = yaml.safe_load(PARAMETER_FILE.read_text())
    assert list(content) == ["/**"]
    return content["/**"]["ros__parameters"]


def test_parameter_file_holds_every_parameter_with_its_default(declared: dict[str, Any]) -> None:
    shipped = shipped_parameters()
    assert shipped == {name: _plain(value) for name, value in declared.items()}
    kinds = {name: type(value) for name, value in shipped.items()}
    assert kinds == {name: type(_plain(value)) for name, value in declared.items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_parameter_file_comments_every_parameter_and_marks_the_live_ones(
    declared: dict[str, Any],
) -> None:
    from bev_perception.ros.parameter_table import LIVE

    lines = [line.strip() for line in PARAMETER_FILE.read_text().splitlines()]
    for name in declared:
        place = next(index for index, line in enumerate(lines) if line.startswith(f"{name}:"))
        comment = lines[place - 1]
        assert comment.startswith("# "), name
        assert comment.startswith("# * ") == (name in LIVE), name


def test_fast_dds_profile_gives_every_participant_large_shared_memory_and_udp() -> None:
    profiles = ElementTree.parse(config_path("fastdds.xml")).getroot().find(f"{FAST_DDS}profiles")
    assert profiles is not None
    transports = {
        _text(entry, "transport_id"): {
            child.tag.removeprefix(FAST_DDS): child.text for child in entry
        }
        for entry in profiles.iter(f"{FAST_DDS}transport_descriptor")
    }
    shared_memory, udp = transports["bev_shared_memory"], transports["bev_udp"]
    assert shared_memory["type"] == "SHM"
    assert int(shared_memory["segment_size"] or 0) == 64 * 2**20
    assert int(shared_memory["maxMessageSize"] or 0) == 8 * 2**20
    assert int(shared_memory["port_queue_capacity"] or 0) == 2048
    assert udp["type"] == "UDPv4"
    assert udp["receiveBufferSize"] == udp["sendBufferSize"] == str(4 * 2**20)
    participant = profiles.find(f"{FAST_DDS}participant")
    assert participant is not None
    assert participant.get("is_default_profile") == "true"
    rtps = participant.find(f"{FAST_DDS}rtps")
    assert rtps is not None
    used = rtps.find(f"{FAST_DDS}userTransports")
    assert used is not None
    assert [entry.text for entry in used] == ["bev_shared_memory", "bev_udp"]
    assert _text(rtps, "useBuiltinTransports") == "false"


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{FAST_DDS}{name}") or ""


def rviz_displays() -> list[dict[str, Any]]:
    content = yaml.safe_load(config_path("bev.rviz").read_text())
    return content["Visualization Manager"]["Displays"]


def test_rviz_shows_cameras_grids_centers_markers_and_transforms() -> None:
    displays = {entry["Class"].removeprefix("rviz_default_plugins/") for entry in rviz_displays()}
    assert displays == {"Grid", "TF", *SHOWN.values()}
    shown = {
        entry["Topic"]["Value"]: entry["Class"].removeprefix("rviz_default_plugins/")
        for entry in rviz_displays()
        if "Topic" in entry
    }
    assert shown == SHOWN
    for entry in rviz_displays():
        topic = entry.get("Topic", {}).get("Value")
        assert entry["Enabled"] == (topic not in UNTIL_TICKED), entry["Name"]


def test_rviz_finds_every_output_that_it_shows_in_a_namespace_too() -> None:
    """The launch file maps those that it names."""
    (named,) = (
        ast.literal_eval(part.value)
        for part in ast.parse(LAUNCH_FILE.read_text()).body
        if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "OUTPUT_TOPICS"
    )
    shown = {topic for topic in SHOWN if topic.startswith("/bev/")}
    assert {f"/bev/{name}" for name in named} == shown


def test_rviz_subscribes_so_that_it_fits_every_publisher() -> None:
    for entry in rviz_displays():
        if "Topic" not in entry:
            continue
        is_image = entry["Class"].endswith("/Image")
        topic = entry["Topic"]
        assert topic["Durability Policy"] == "Volatile", entry["Name"]
        assert topic["Reliability Policy"] == ("Best Effort" if is_image else "Reliable")


def test_rviz_places_every_image_and_panel() -> None:
    content = yaml.safe_load(config_path("bev.rviz").read_text())
    state = bytes.fromhex(content["Window Geometry"]["QMainWindow State"])
    images = [entry["Name"] for entry in rviz_displays() if entry["Class"].endswith("/Image")]
    panels = [panel["Name"] for panel in content["Panels"]]
    assert len(images) == len(CAMERAS)
    for name in (*images, *panels):  # as Qt writes the names of what it has docked
        assert name.encode("utf-16-be") in state, name
        assert content["Window Geometry"][name] == {"collapsed": False}


def foxglove_layout() -> dict[str, Any]:
    return json.loads(config_path("foxglove_layout.json").read_text())


def test_foxglove_shows_what_rviz_shows() -> None:
    panels = foxglove_layout()["configById"]
    images = {
        panel["imageMode"]["imageTopic"]
        for name, panel in panels.items()
        if name.startswith("Image!")
    }
    scene = next(panel for name, panel in panels.items() if name.startswith("3D!"))
    visible = {name for name, settings in scene["topics"].items() if settings["visible"]}
    assert images | visible == set(SHOWN) - UNTIL_TICKED
    assert images | set(scene["topics"]) == set(SHOWN)
    assert scene["topics"]["/bev/centers"]["colorField"] == "score"


def test_foxglove_places_every_panel_once() -> None:
    def placed(node: Any) -> list[str]:
        return [node] if isinstance(node, str) else placed(node["first"]) + placed(node["second"])

    layout = foxglove_layout()
    assert sorted(placed(layout["layout"])) == sorted(layout["configById"])


def test_foxglove_plots_every_latency_stage_and_lists_diagnostics() -> None:
    pytest.importorskip("vision_msgs", reason="needs ROS 2")
    from bev_perception.ros.publishers import LATENCY_STAGES

    panels = foxglove_layout()["configById"]
    plot = next(panel for name, panel in panels.items() if name.startswith("Plot!"))
    assert [path["value"] for path in plot["paths"]] == [
        f"/bev/debug/latency_ms/{stage}.data" for stage in LATENCY_STAGES
    ]
    summary = next(panel for name, panel in panels.items() if name.startswith("DiagnosticSummary!"))
    assert summary["topicToRender"] == "/diagnostics"
