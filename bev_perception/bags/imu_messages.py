# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Imu: messages to samples and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rosbags.interfaces import Connection

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.headers import make_header, stamp_ns
from bev_perception.bags.poses import make_vector, vector_from_message
from bev_perception.bags.typestore import IMU, message_class
from bev_perception.errors import BagError
from bev_perception.geometry.imu import ImuSample

_NOT_MEASURED = -1.0
"""First covariance of what a driver does not measure, by REP-145."""


def imu_from_message(message: Any, topic: str) -> ImuSample:
    """A sample; the message's own orientation, which many drivers leave empty, is not read.

    Raises:
        BagError: values that are not finite or absurd, no acceleration, or no angular velocity.
    """
    rate = vector_from_message(message.angular_velocity)
    force = vector_from_message(message.linear_acceleration)
    frame = message.header.frame_id.lstrip("/")
    for name, values, covariance, most in (
        ("angular_velocity", rate, message.angular_velocity_covariance, 100.0),
        ("linear_acceleration", force, message.linear_acceleration_covariance, 1000.0),
    ):
        if len(covariance) and covariance[0] == _NOT_MEASURED:
            raise BagError(f"{topic}: by its covariance of -1 the IMU does not measure {name}")
        if not (np.abs(values) <= most).all():
            raise BagError(
                f"{topic}: {name} is {values.tolist()}, expected finite values in "
                f"{'rad/s' if most == 100.0 else 'm/s^2'}; the driver or the sensor is broken"
            )
    if not force.any():
        raise BagError(
            f"{topic}: linear_acceleration is zero; at rest it must be 9.81 m/s^2 upwards, gravity "
            f"not taken out"
        )
    if not frame:
        raise BagError(f"{topic}: frame_id is empty; name the IMU's frame in its driver")
    return ImuSample(stamp_ns(message.header), frame, rate, force)


def imu_to_message(sample: ImuSample) -> Any:
    """sensor_msgs/Imu without an orientation."""
    unknown = np.zeros(9)
    quaternion = message_class("geometry_msgs/msg/Quaternion")(0.0, 0.0, 0.0, 1.0)
    orientation = np.zeros(9)
    orientation[0] = _NOT_MEASURED
    return message_class(IMU)(
        make_header(sample.stamp_ns, sample.frame_id),
        quaternion,
        orientation,
        make_vector(sample.angular_velocity),
        unknown,
        make_vector(sample.specific_force),
        unknown,
    )


def read_imu(
    bag: BagFile,
    connection: Connection,
    stays: Callable[[str, int], bool],
    on_refused: Callable[[BagError], object],
) -> Iterator[ImuSample]:
    """Samples of a topic in the order of recording.

    Args:
        bag: open.
        connection: of the topic.
        stays: whether a frame, at a time of recording, is where it is used.
        on_refused: gets what cannot be used.
    """
    for _, log_ns, raw in bag.messages([connection]):
        try:
            sample = imu_from_message(bag.decode(connection, raw), connection.topic)
            if not stays(sample.frame_id, log_ns):
                raise BagError(
                    f"{connection.topic}: the IMU's frame {sample.frame_id!r} lay elsewhere on the "
                    f"vehicle then, by /tf_static; the last mounting is used throughout"
                )
        except BagError as error:
            on_refused(error)
            continue
        yield sample
