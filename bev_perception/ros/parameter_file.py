# SPDX-License-Identifier: Apache-2.0
"""What a ROS 2 parameter file says about one node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bev_perception.errors import ConfigurationError
from bev_perception.untrusted import parse_yaml


def file_parameters(path: Path, node_name: str, namespace: str = "") -> dict[str, Any]:
    """Parameters of a node by name, so that a launch file's topics follow its cameras.

    Args:
        path: of the file.
        node_name: without its namespace.
        namespace: of the node, without slashes at its ends.

    Raises:
        ConfigurationError: there is no such file, or it is no parameter file.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
        entries = {name: entry["ros__parameters"] or {} for name, entry in content.items()}
        full_name = f"/{namespace}/{node_name}" if namespace else f"/{node_name}"
        names = ("/**", node_name, full_name)
        return {str(key): value for name in names for key, value in entries.get(name, {}).items()}
    except (OSError, UnicodeError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigurationError(
            f"params_file {path}: {type(error).__name__}: {reason}; give a file laid out as "
            "config/perception.yaml"
        ) from error
