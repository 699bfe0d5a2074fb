# SPDX-License-Identifier: Apache-2.0
"""Parameters given at start that a node does not have, which rclpy passes over in silence."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from rclpy.node import Node

_QOS_PREFIX = "qos_overrides."
"""Such parameters are declared only when their topic is."""


def warn_of_unknown_parameters(node: Node) -> None:
    """One warning for each, with the name that was probably meant.

    To be called when all parameters are declared. rclpy has no public way to what was given on
    the command line and in files; where its attribute has another name, nothing is said.
    """
    given = getattr(node, "_parameter_overrides", None)
    declared = [name for name, _ in _declared(node)]
    for name in given if isinstance(given, dict) else ():
        if name not in declared and not name.startswith(_QOS_PREFIX):
            node.get_logger().warning(unknown_parameter_text(name, declared))


def unknown_parameter_text(name: str, declared: Iterable[str]) -> str:
    """What to tell of a parameter that is not declared."""
    meant = get_close_matches(name, list(declared), n=1, cutoff=0.75)
    hint = f"did you mean {meant[0]}?" if meant else "`ros2 param list` shows those it has"
    return f"parameter {name} is ignored: this node has no such parameter; {hint}"


def _declared(node: Node) -> Iterable[tuple[str, Any]]:
    return node.get_parameters_by_prefix("").items()
