# SPDX-License-Identifier: Apache-2.0
"""The shipped transport is set where nobody has chosen another; missing ROS 2 is told well."""

from __future__ import annotations

import os
import sys

import pytest

from bev_perception.errors import SystemLibraryError
from bev_perception.resources import config_path
from bev_perception.ros.environment import (
    PROFILE_VARIABLES,
    TRANSPORT_VARIABLE,
    require_ros,
    use_shipped_transport,
)

CHOICES = (*PROFILE_VARIABLES, TRANSPORT_VARIABLE, "RMW_IMPLEMENTATION")


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHOICES:
        monkeypatch.setenv(name, "")  # so that it is put back as it was
        monkeypatch.delenv(name)


def chosen() -> dict[str, str]:
    return {name: os.environ[name] for name in CHOICES if name in os.environ}


def test_both_generations_of_fast_dds_get_the_shipped_profile() -> None:
    use_shipped_transport()
    shipped = str(config_path("fastdds.xml"))
    assert chosen() == {
        "FASTRTPS_DEFAULT_PROFILES_FILE": shipped,
        "FASTDDS_DEFAULT_PROFILES_FILE": shipped,
    }


@pytest.mark.parametrize("name", ["rmw_fastrtps_cpp", "rmw_fastrtps_dynamic_cpp"])
def test_fast_dds_named_by_the_user_gets_it_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMW_IMPLEMENTATION", name)
    use_shipped_transport()
    assert set(PROFILE_VARIABLES) <= set(chosen())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FASTRTPS_DEFAULT_PROFILES_FILE", "/etc/own.xml"),
        ("FASTDDS_DEFAULT_PROFILES_FILE", "/etc/own.xml"),
        ("FASTDDS_BUILTIN_TRANSPORTS", "LARGE_DATA"),
        ("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp"),
        ("RMW_IMPLEMENTATION", "rmw_zenoh_cpp"),
    ],
)
def test_a_choice_of_the_user_is_left_alone(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    use_shipped_transport()
    assert chosen() == {name: value}


def test_missing_ros_names_the_package_and_both_ways_to_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with pytest.raises(SystemLibraryError, match=r"rclpy(.|\n)*rosdep install(.|\n)*make ros"):
        require_ros()


def test_ros_is_there_where_all_its_packages_are() -> None:
    pytest.importorskip("rclpy")
    pytest.importorskip("vision_msgs")
    require_ros()
