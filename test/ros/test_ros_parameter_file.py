# SPDX-License-Identifier: Apache-2.0
"""Launch files read parameter files as the node itself does, through rcl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from bev_perception.errors import ConfigurationError
from bev_perception.ros.parameter_file import file_parameters

NAMES = (
    *("/**", "/*", "**", "*", "bev", "/bev", "car/bev", "/car/bev", "/**/bev", "**/bev", "/*/bev"),
    *("/car/**", "/car/*", "/**/**", "/*/*", "/**/car/bev", "/other", "/car/bev/more", "/car"),
)
FILES = [
    *(f"'{name}':\n  ros__parameters: {{cameras: [roof]}}\n" for name in NAMES),
    "car:\n  bev:\n    ros__parameters: {cameras: [roof]}\n",
    "car:\n  radar:\n    ros__parameters: {a: 1}\n  bev:\n    ros__parameters: {b: 1}\n",
    "'/**':\n  bev:\n    ros__parameters: {cameras: [roof]}\n",
    "/fleet:\n  car:\n    bev:\n      ros__parameters: {cameras: [roof]}\n",
    "'/**':\n  ros__parameters: {a: 1, b: 1}\nbev:\n  ros__parameters: {a: 2}\n",
    "bev:\n  ros__parameters: {a: 2}\n'/**':\n  ros__parameters: {a: 1, b: 1}\n",
    "'/*':\n  ros__parameters: {a: 2}\n'/**/bev':\n  ros__parameters: {a: 1}\n",
    f"'{'/**' * 200}/radar':\n  ros__parameters: {{a: 1}}\n",
    "bev: {}\n",
    "",
]


@pytest.mark.parametrize("namespace", ["", "car", "fleet/car"])
@pytest.mark.parametrize("text", FILES)
def test_a_file_says_what_the_node_gets_from_it(
    text: str, namespace: str, ros_environment: Any, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    arguments = ["--ros-args", "--params-file", str(path)]
    node = ros_environment.create_node("bev", namespace=namespace, cli_args=arguments)
    try:
        given = {name: entry.value for name, entry in node._parameter_overrides.items()}
    finally:
        node.destroy_node()
    assert file_parameters(path, "bev", namespace) == given


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bev:\n  cameras: [roof]\n", r"/bev/cameras must hold ros__parameters, got \['roof'\]"),
        ("radar: 3\n", "/radar must hold ros__parameters, got 3"),
        ("bev:\n  ros__parameters: [roof]\n", "ros__parameters of /bev must hold names"),
        ("- 1\n", "the file must hold ros__parameters"),
    ],
)
def test_what_is_no_parameter_file_is_refused_in_words(
    text: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        file_parameters(path, "bev")
