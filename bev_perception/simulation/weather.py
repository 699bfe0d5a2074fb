# SPDX-License-Identifier: Apache-2.0
"""Weather, light and camera settings drawn at random, reproducibly."""

from __future__ import annotations

import numpy as np

from bev_perception.simulation.scene import Weather

KINDS = ("sunny", "hazy_sun", "overcast", "fog", "dusk")
_SHARES = (0.40, 0.18, 0.22, 0.08, 0.12)


def random_weather(seed: int) -> Weather:
    """One weather of KINDS with its own light, exposure, white balance and sensor noise."""
    kind, rng = _draw_kind(seed)
    return weather_of_kind(kind, rng)


def weather_kind(seed: int) -> str:
    """Which of KINDS random_weather draws."""
    return _draw_kind(seed)[0]


def weather_of_kind(kind: str, rng: np.random.Generator) -> Weather:
    """A random weather of one of KINDS."""
    gray = float(rng.uniform(0.70, 0.85))
    blue = rng.uniform((0.55, 0.70, 0.88), (0.70, 0.80, 0.97))
    elevation, sun, ambient, fog, sky = {
        "sunny": (rng.uniform(22, 68), rng.uniform(0.85, 1.1), rng.uniform(0.50, 0.70), 0.0, blue),
        "hazy_sun": (
            rng.uniform(20, 60), rng.uniform(0.45, 0.75), rng.uniform(0.65, 0.85),
            rng.uniform(0.001, 0.003), 0.5 * blue + 0.45,
        ),
        "overcast": (
            rng.uniform(20, 60), 0.0, rng.uniform(0.80, 1.10), rng.uniform(0.0, 0.002),
            np.array([gray, gray, 1.03 * gray]),
        ),
        "fog": (
            rng.uniform(20, 50), rng.uniform(0.0, 0.2), rng.uniform(0.8, 1.0),
            rng.uniform(0.008, 0.018), np.array([gray, gray, gray]),
        ),
        "dusk": (
            rng.uniform(5, 14), rng.uniform(0.35, 0.7), rng.uniform(0.40, 0.60),
            rng.uniform(0.0, 0.003), rng.uniform((0.60, 0.42, 0.34), (0.80, 0.56, 0.48)),
        ),
    }[kind]  # fmt: skip
    warm = float(rng.normal(0.0, 0.03))
    return Weather(
        sun_azimuth_deg=float(rng.uniform(0.0, 360.0)),
        sun_elevation_deg=float(elevation),
        sun_strength=float(sun),
        ambient_strength=float(ambient),
        fog_density=float(fog),
        sky_color=(float(sky[0]), float(sky[1]), float(sky[2])),
        exposure=float(np.exp(rng.normal(0.0, 0.15))) * (1.35 if kind == "dusk" else 1.0),
        tint=(1.0 + warm, 1.0 + float(rng.normal(0.0, 0.01)), 1.0 - warm),
        noise=float(rng.uniform(0.5, 3.0) + (1.5 if kind == "dusk" else 0.0)),
    )


def _draw_kind(seed: int) -> tuple[str, np.random.Generator]:
    rng = np.random.default_rng((seed, 0x57EA))
    return str(rng.choice(KINDS, p=_SHARES)), rng
