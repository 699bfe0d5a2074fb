# SPDX-License-Identifier: Apache-2.0
"""IMU messages in and out, and what is refused of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bev_perception.bags import BagReader, BagWriter
from bev_perception.bags.imu_messages import imu_from_message, imu_to_message
from bev_perception.errors import BagError
from bev_perception.geometry import Rig, RigidTransform
from bev_perception.geometry.imu import ImuSample

SAMPLE = ImuSample(5_000_000_001, "imu", np.array([0.1, -0.2, 0.3]), np.array([0.5, 0.0, 9.8]))


def changed(change: Callable[[Any], object]) -> Any:
    message = imu_to_message(SAMPLE)
    change(message)
    return message


def test_an_imu_is_read_back_from_a_bag_with_its_mounting(tmp_path: Path, rig: Rig) -> None:
    mounting = RigidTransform.from_euler(yaw=1.0, translation=(1.0, 0.0, 0.4))
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_rig(rig, SAMPLE.stamp_ns, others={"imu": mounting})
        writer.write_imu([SAMPLE])
    with BagReader(tmp_path / "bag") as reader:
        samples = reader.imu_samples(pytest.fail)
        assert samples is not None
        (sample,) = samples
        assert reader.base_T_frame("imu", sample.stamp_ns, "/imu/data").is_close(mounting)
    assert (sample.stamp_ns, sample.frame_id) == (SAMPLE.stamp_ns, "imu")
    np.testing.assert_array_equal(sample.angular_velocity, SAMPLE.angular_velocity)
    np.testing.assert_array_equal(sample.specific_force, SAMPLE.specific_force)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: setattr(m.angular_velocity, "x", float("nan")), "angular_velocity is [nan"),
        (lambda m: setattr(m.linear_acceleration, "z", float("inf")), "m/s^2; the driver"),
        (lambda m: vars(m.linear_acceleration).update(x=0.0, z=0.0), "is zero; at rest it must"),
        (lambda m: m.angular_velocity_covariance.__setitem__(0, -1), "not measure angular"),
        (lambda m: setattr(m.header, "frame_id", ""), "frame_id is empty"),
    ],
    ids=["NaN", "infinite", "zero acceleration", "not measured", "no frame"],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    change: Callable[[Any], object], words: str
) -> None:
    with pytest.raises(BagError, match=r"^/imu: ") as refusal:
        imu_from_message(changed(change), "/imu")
    assert words in str(refusal.value)


def test_an_empty_orientation_does_not_matter() -> None:
    message = changed(lambda m: vars(m.orientation).update(w=0.0))
    np.testing.assert_array_equal(
        imu_from_message(message, "/imu").specific_force, SAMPLE.specific_force
    )
