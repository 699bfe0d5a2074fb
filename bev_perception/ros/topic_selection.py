# SPDX-License-Identifier: Apache-2.0
"""Which topics are recorded: those that training and inspection need, unless told otherwise."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from bev_perception.bags.discovery import (
    is_camera_topic,
    is_cloud_topic,
    is_label_topic,
    is_own_output,
)
from bev_perception.bags.raw_topic import is_tf_static
from bev_perception.bags.typestore import CAMERA_INFO, IMU, ODOMETRY, TF
from bev_perception.errors import ConfigurationError

_ALSO = frozenset({"/clock", "/diagnostics"})
_ENCODED = ("/compressed", "/compressedDepth", "/theora", "/ffmpeg", "/zstd")
"""Suffixes that image transports give to further forms of the same image."""


@dataclass(frozen=True)
class TopicSelection:
    """Topics to record. Static transforms always belong to them.

    Attributes:
        topics: names; empty for the default choice: cameras with CameraInfo, /tf, odometry,
            IMUs, point clouds of LiDAR and radar, labels, perception's outputs, /clock and
            /diagnostics.
        everything: all topics but hidden ones.
        exclude: regular expression found in the names of topics that are left out; empty for
            none.

    Raises:
        ConfigurationError: exclude is no regular expression.
    """

    topics: tuple[str, ...] = ()
    everything: bool = False
    exclude: str = ""

    def __post_init__(self) -> None:
        check_expression(self.exclude)

    def wants(self, topic: str, msgtype: str, published: Collection[str]) -> bool:
        """Whether a topic is recorded.

        Args:
            topic: full name.
            msgtype: of the topic.
            published: all topics there are: a compressed image is left out of the default
                choice where the raw one is published too.
        """
        if is_tf_static(topic) and msgtype == TF:
            return True
        if self.exclude and re.search(self.exclude, topic):
            return False
        if self.topics:
            return topic in {full_name(name) for name in self.topics}
        if any(part.startswith("_") for part in topic.split("/")):
            return False
        return self.everything or _is_default(topic, msgtype, published)


def full_name(topic: str) -> str:
    """A topic's name with its leading slash."""
    return topic if topic.startswith("/") else f"/{topic}"


def check_expression(expression: str) -> None:
    """Refuses what is no regular expression.

    Raises:
        ConfigurationError: says where it breaks.
    """
    try:
        re.compile(expression)
    except re.error as error:
        raise ConfigurationError(
            f"exclude: {expression!r} is no regular expression ({error}); write for example "
            f"'/debug/|/rosout'"
        ) from error


def _is_default(topic: str, msgtype: str, published: Collection[str]) -> bool:
    if topic in _ALSO or msgtype in (TF, ODOMETRY, IMU, CAMERA_INFO):
        return True
    if is_own_output(topic, published):
        return True
    if is_camera_topic(topic, msgtype):
        base, _, last = topic.rpartition("/")
        return f"/{last}" not in _ENCODED or base not in published
    return is_label_topic(topic, msgtype, published) or is_cloud_topic(topic, msgtype, published)
