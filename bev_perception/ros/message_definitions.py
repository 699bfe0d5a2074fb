# SPDX-License-Identifier: Apache-2.0
"""Classes and definitions of the message types that are installed."""

from __future__ import annotations

import importlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from bev_perception.bags.type_definitions import complete_definition
from bev_perception.errors import BagError


def message_class(msgtype: str) -> Any:
    """The rclpy class of a message type such as ``std_msgs/msg/Header``.

    Raises:
        BagError: its package is not installed, or lacks it.
    """
    package, _, name = msgtype.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise BagError(
            f"message type {msgtype} is not installed here; install or source the package {package}"
        ) from error


@cache
def message_definition(msgtype: str) -> tuple[str, str]:
    """Text and RIHS01 hash of an installed type: see complete_definition.

    Raises:
        BagError: there is no definition of the type, or of one that it uses.
    """
    return complete_definition(msgtype, _installed_text)


def _installed_text(msgtype: str) -> str | None:
    """The .msg file of a type."""
    package, _, name = msgtype.partition("/msg/")
    for prefix in _prefixes(package):
        file = prefix / "share" / package / "msg" / f"{name}.msg"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return None


def _prefixes(package: str) -> list[Path]:
    """Installation prefixes that may hold a package: its Python module's first."""
    prefixes = []
    try:
        module = importlib.import_module(package)
    except ImportError:
        pass
    else:
        if module.__file__:
            prefixes += list(Path(module.__file__).parents)[:7]
    listed = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return prefixes + [Path(entry) for entry in listed if entry]
