# SPDX-License-Identifier: Apache-2.0
"""Who answers at an address, and what is said where that is not what was hoped for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.errors import CarlaError, ConfigurationError

pytest.importorskip("carla", reason="no carla package; its wheels are for Python 3.10 to 3.12")

import carla

from bev_perception.carla_world.connection import connect, enter_town
from bev_perception.carla_world.faults import NoServerError
from bev_perception.carla_world.weather import weather_names, weather_of

Server = Callable[..., Any]


def test_nobody_listens_says_where_and_what_to_do() -> None:
    settings = CarlaSettings(host="127.0.0.1", port=65001, timeout_s=0.2)
    with pytest.raises(NoServerError, match=r"127\.0\.0\.1:65001 within 0\.2 s.*start one"):
        connect(settings)  # carla's own client


def test_an_unknown_host_is_no_server_either() -> None:
    with pytest.raises(NoServerError, match=r"no\.such\.host\.invalid"):
        connect(CarlaSettings(host="no.such.host.invalid", timeout_s=0.2))


@pytest.mark.parametrize(
    ("version", "way"),
    [("0.9.15", "pip install carla==0.9.15"), ("0.9.14", "build the package of 0.9.14 for this")],
)
def test_a_server_of_another_version_is_refused_with_the_way_to_its_package(
    server: Server, version: str, way: str
) -> None:
    server(version=version)
    with pytest.raises(CarlaError, match=f"server at localhost:2000 is {version}.*{way}.*bridge"):
        connect(CarlaSettings())


def test_a_build_of_the_same_release_is_accepted(server: Server) -> None:
    server(version=f"{carla.Client('localhost').get_client_version()}-3-gabcdef")
    connect(CarlaSettings())


def test_an_unknown_town_names_those_that_there_are(server: Server) -> None:
    server()
    settings = CarlaSettings(town="Town99")
    with pytest.raises(CarlaError, match=r"no town 'Town99'; it has Town01, Town10HD_Opt"):
        enter_town(connect(settings), settings)


@pytest.mark.parametrize("town", ["Town01", "town01", "/Game/Carla/Maps/Town01"])
def test_a_town_is_loaded_by_its_name(server: Server, town: str) -> None:
    double = server()
    settings = CarlaSettings(town=town)
    enter_town(connect(settings), settings)
    assert double.loaded == "Carla/Maps/Town01"


def test_the_town_that_is_loaded_is_not_loaded_again(server: Server) -> None:
    double = server()
    for town in ("", "Town10HD_Opt"):
        settings = CarlaSettings(town=town)
        assert enter_town(connect(settings), settings).id == double.world_id == 7


def test_a_passive_client_loads_no_town(server: Server) -> None:
    double = server()
    settings = CarlaSettings(town="Town01", passive=True)
    with pytest.raises(CarlaError, match="passive mode"):
        enter_town(connect(settings), settings)
    assert double.world_id == 7


def test_weather_has_names_and_an_unknown_one_lists_them() -> None:
    assert weather_of("hardrainnoon") == carla.WeatherParameters.HardRainNoon
    assert "WetCloudySunset" in weather_names()
    with pytest.raises(
        CarlaError, match=r"unknown weather 'hail'; CARLA has ClearNight, ClearNoon"
    ):
        weather_of("hail")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rate_hz": 7.0}, "the nearest is 6.66667 Hz"),
        ({"fixed_delta_s": 0.2, "rate_hz": 5.0}, "fixed_delta_s must be 0.1 or less"),
        ({"ego_mode": "borrow"}, "spawn, existing"),
        ({"vehicles": -1}, "vehicles must be 0 or more, got -1"),
        ({"port": 70000}, "1..65535"),
        ({"timeout_s": 0.0}, "timeout_s must be positive"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        CarlaSettings(**values)
