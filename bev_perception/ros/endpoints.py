# SPDX-License-Identifier: Apache-2.0
"""Who publishes a topic, and whether what is offered fits what is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Publisher:
    """Who offers a topic, as the ROS graph tells.

    Attributes:
        node: full name.
        type: for example sensor_msgs/msg/Image.
        reliability, durability: lower case policy names, empty when unknown.
    """

    node: str
    type: str
    reliability: str = ""
    durability: str = ""

    def __str__(self) -> str:
        qos = " ".join(part for part in (self.reliability, self.durability) if part)
        return f"{self.node} ({', '.join(part for part in (self.type, qos) if part)})"


@dataclass(frozen=True)
class Subscribed:
    """What this node asks of the publishers of a topic."""

    topic: str
    type: str
    reliability: str = "best_effort"
    durability: str = "volatile"

    def type_problem(self, publisher: Publisher) -> str:
        """In words, why this publisher's messages are not even offered to us."""
        if publisher.type == self.type:
            return ""
        return (
            f"publisher {publisher.node} offers {self.topic} as {publisher.type} but "
            f"{self.type} is expected"
        )

    def qos_problem(self, publisher: Publisher) -> str:
        """In words, which policy keeps this publisher's messages away; empty when none."""
        for policy, weak, strong in (
            ("reliability", "best_effort", "reliable"),
            ("durability", "volatile", "transient_local"),
        ):
            offered, asked = getattr(publisher, policy), getattr(self, policy)
            if offered == weak and asked == strong:
                return (
                    f"publisher {publisher.node} offers {self.topic} with {policy} {offered} "
                    f"but this node asks for {asked}"
                )
        return ""
