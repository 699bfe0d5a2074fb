# SPDX-License-Identifier: Apache-2.0
"""Definitions and hashes of installed message types, as bags embed them."""

from __future__ import annotations

import importlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from bev_perception.bags.typestore import bag_typestore
from bev_perception.errors import BagError

_RULER = "=" * 80


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
    """Text and RIHS01 hash of a type, of the definition that is installed.

    The text is that of rosbag2: the .msg file, then those of all types it uses, each below
    a ruler. Types whose files are not installed are taken from rosbags' ROS 2 Jazzy types.

    Raises:
        BagError: there is no definition of the type, or of one that it uses.
    """
    texts: dict[str, str] = {}
    fields: dict[str, Any] = {}
    waiting = [msgtype]
    while waiting:
        name = waiting.pop(0)
        if name in texts:
            continue
        texts[name] = _text(name)
        own = get_types_from_msg(texts[name], name)[name]
        fields[name] = own
        waiting += sorted(_used(own))
    store = get_typestore(Stores.EMPTY)
    store.register(fields)
    parts = [texts.pop(msgtype)]
    for name, text in texts.items():
        parts.append(f"{_RULER}\nMSG: {name.replace('/msg/', '/')}\n{text}")
    return "\n".join(parts), store.hash_rihs01(msgtype)


def _used(definition: Any) -> set[str]:
    """Names of the message types among a definition's fields."""
    names = set()
    for _, (kind, detail) in definition[1]:
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            kind, detail = detail[0]
        if kind == Nodetype.NAME:
            names.add(str(detail))
    return names


def _text(msgtype: str) -> str:
    """The .msg file of a type, or the same made from rosbags' knowledge of it."""
    package, _, name = msgtype.partition("/msg/")
    for prefix in _prefixes(package):
        file = prefix / "share" / package / "msg" / f"{name}.msg"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    store = bag_typestore()
    if msgtype not in store.fielddefs:
        raise BagError(
            f"message type {msgtype} has no definition: share/{package}/msg/{name}.msg is not "
            f"installed; install or source the package {package}"
        )
    text, _ = store.generate_msgdef(msgtype, ros_version=2)
    return text.split(_RULER)[0]


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
