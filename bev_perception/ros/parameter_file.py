# SPDX-License-Identifier: Apache-2.0
"""What a ROS 2 parameter file says about one node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bev_perception.errors import ConfigurationError
from bev_perception.untrusted import parse_yaml

_PARAMETERS = "ros__parameters"


def file_parameters(path: Path, node_name: str, namespace: str = "") -> dict[str, Any]:
    """Parameters of a node by name, so that a launch file's topics follow its cameras.

    As rcl reads them: keys above ``ros__parameters`` are parts of a node's full name, ``*`` stands
    for one part and ``**`` for any number of them, and of several entries that fit a later one
    wins.

    Args:
        path: of the file.
        node_name: without its namespace.
        namespace: of the node, without slashes at its ends.

    Raises:
        ConfigurationError: there is no such file, or it is no parameter file.
    """
    full_name = f"/{namespace}/{node_name}" if namespace else f"/{node_name}"
    found: dict[str, Any] = {}
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
        for pattern, values in _entries({} if content is None else content):
            if _fits(pattern, full_name):
                found.update((str(name), value) for name, value in values.items())
    except (OSError, UnicodeError, yaml.YAMLError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigurationError(
            f"params_file {path}: {type(error).__name__}: {reason}; give a file laid out as "
            "config/perception.yaml"
        ) from error
    return found


def _entries(content: Any, above: str = "") -> Iterator[tuple[str, dict[Any, Any]]]:
    """(pattern of a node's full name, its parameters), in the order of the file.

    Raises:
        TypeError: a value stands where a node's name or parameters must.
    """
    if not isinstance(content, dict):
        raise TypeError(f"{above or 'the file'} must hold {_PARAMETERS}, got {content!r:.60}")
    for key, value in content.items():
        if key != _PARAMETERS:
            yield from _entries(value, f"{above}/{str(key).lstrip('/')}")
        elif isinstance(value, dict):
            yield above, value
        elif value is not None:
            raise TypeError(f"{_PARAMETERS} of {above} must hold names and values")


def _fits(pattern: str, full_name: str) -> bool:
    parts = {"*": r"/\w+", "**": r"(?:/\w+)*"}
    pattern = re.sub(r"(/\*\*)+", "/**", pattern)  # many in a row would take for ever
    wanted = (parts.get(part, re.escape(f"/{part}")) for part in pattern.split("/")[1:])
    return re.fullmatch("".join(wanted), full_name) is not None
