# SPDX-License-Identifier: Apache-2.0
"""A topic whose messages are stored as they came, without being decoded."""

from __future__ import annotations

from dataclasses import dataclass

from rosbags.interfaces import Connection

from bev_perception.bags.recorded_qos import RecordedQos, recorded_qos


@dataclass(frozen=True)
class RawTopic:
    """What a bag says about a topic of serialized messages.

    Attributes:
        name: of the topic.
        msgtype: for example ``sensor_msgs/msg/Image``.
        definition: text of the message definition and of all that it uses, as rosbag2
            embeds it.
        digest: RIHS01 hash of the type.
        qos: what the publishers offered, one profile each.
    """

    name: str
    msgtype: str
    definition: str
    digest: str
    qos: tuple[RecordedQos, ...] = ()

    @property
    def is_tf_static(self) -> bool:
        """Whether it carries static transforms, which every part of a bag needs."""
        return is_tf_static(self.name)


def raw_topic(connection: Connection) -> RawTopic:
    """What a bag says about one of its topics."""
    return RawTopic(
        name=connection.topic,
        msgtype=connection.msgtype,
        definition=connection.msgdef.data,
        digest=connection.digest,
        qos=recorded_qos(connection),
    )


def is_tf_static(topic: str) -> bool:
    """Whether a topic, with or without a namespace, carries static transforms."""
    return topic.rstrip("/").rpartition("/")[2] == "tf_static"
