# SPDX-License-Identifier: Apache-2.0
"""Message definitions with all that they use, and their hash, as bags embed them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from bev_perception.bags.typestore import bag_typestore
from bev_perception.errors import BagError

_RULER = "=" * 80


def complete_definition(msgtype: str, installed: Callable[[str], str | None]) -> tuple[str, str]:
    """Text and RIHS01 hash of a type.

    The text is laid out as rosbag2 does: the .msg file, then those of all types it uses, each
    below a ruler.

    Args:
        msgtype: for example ``sensor_msgs/msg/Image``.
        installed: gives the .msg text of a type, None where there is none; ROS 2 Jazzy's
            definition as rosbags knows it is taken then.

    Raises:
        BagError: there is no definition of the type, or of one that it uses.
    """
    texts: dict[str, str] = {}
    fields: dict[str, Any] = {}
    waiting = [msgtype]
    while waiting:
        name = waiting.pop(0)
        if name not in texts:
            texts[name] = installed(name) or _known_definition(name)
            fields[name] = get_types_from_msg(texts[name], name)[name]
            waiting += sorted(used_types(fields[name]))
    store = get_typestore(Stores.EMPTY)
    store.register(fields)
    parts = [texts.pop(msgtype)]
    parts += [f"{_RULER}\nMSG: {n.replace('/msg/', '/')}\n{text}" for n, text in texts.items()]
    return "\n".join(parts), store.hash_rihs01(msgtype)


def used_types(definition: Any) -> set[str]:
    """Names of the message types among a definition's fields."""
    names = set()
    for _, (kind, detail) in definition[1]:
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            kind, detail = detail[0]
        if kind == Nodetype.NAME:
            names.add(str(detail))
    return names


def _known_definition(msgtype: str) -> str:
    store = bag_typestore()
    if msgtype not in store.fielddefs:
        package, _, name = msgtype.partition("/msg/")
        raise BagError(
            f"message type {msgtype} has no definition: share/{package}/msg/{name}.msg is not "
            f"installed; install or source the package {package}"
        )
    text, _ = store.generate_msgdef(msgtype, ros_version=2)
    return text.split(_RULER)[0]
