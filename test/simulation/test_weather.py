# SPDX-License-Identifier: Apache-2.0
"""Weather is reproducible and covers what a year brings."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.simulation.weather import KINDS, random_weather, weather_of_kind


def test_a_seed_always_gives_the_same_weather():
    assert random_weather(12) == random_weather(12)
    assert random_weather(12) != random_weather(13)


def test_a_hundred_towns_meet_sun_overcast_fog_and_dusk():
    drawn = [random_weather(seed) for seed in range(100)]
    assert sum(weather.sun_strength == 0.0 for weather in drawn) >= 10
    assert sum(weather.fog_density > 0.008 for weather in drawn) >= 3
    assert sum(weather.sun_elevation_deg < 15.0 for weather in drawn) >= 5
    assert sum(weather.sun_strength > 0.8 for weather in drawn) >= 25


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_stays_in_the_ranges_of_a_camera(kind):
    for seed in range(30):
        weather = weather_of_kind(kind, np.random.default_rng(seed))
        assert 0.5 < weather.exposure < 2.5
        assert 0.0 < weather.noise < 6.0
        assert 0.0 <= weather.fog_density < 0.02
        assert all(0.2 < value <= 1.0 for value in weather.sky_color)
        assert all(0.85 < value < 1.15 for value in weather.tint)
