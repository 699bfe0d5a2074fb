# SPDX-License-Identifier: Apache-2.0
"""Integer nanoseconds and builtin_interfaces/Time."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from bev_perception.bags.headers import NANOSECONDS


def stamp_ns(message: Time) -> int:
    """Integer nanoseconds of a Time message, for example of ``header.stamp``."""
    return int(message.sec) * NANOSECONDS + int(message.nanosec)


def time_message(stamp_ns: int) -> Time:
    """builtin_interfaces/Time of integer nanoseconds."""
    seconds, nanoseconds = divmod(int(stamp_ns), NANOSECONDS)
    return Time(sec=seconds, nanosec=nanoseconds)


def header_message(stamp_ns: int, frame_id: str) -> Header:
    """std_msgs/Header."""
    return Header(stamp=time_message(stamp_ns), frame_id=frame_id)
