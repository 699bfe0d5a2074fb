# SPDX-License-Identifier: Apache-2.0
"""Weather as numbers for the shaders, and the sun's view for the shadow map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.scene import Weather

SHADOW_RADIUS_M = 64.0
SHADOW_SIZE = 2048
_LIGHT_DEPTH_M = 300.0
_SHADOW_BIAS_M = 0.03


def sun_direction(weather: Weather) -> NDArray[np.float64]:
    """(3,) unit vector towards the sun in map."""
    azimuth, elevation = np.radians([weather.sun_azimuth_deg, weather.sun_elevation_deg])
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


def light_uniforms(weather: Weather) -> dict[str, NDArray[np.float64]]:
    """Members of the frame block that the weather decides."""
    sky = np.array(weather.sky_color)
    height = np.clip(np.sin(np.radians(weather.sun_elevation_deg)), 0.0, 1.0)
    warmth = np.exp(-4.0 * height)
    sun = weather.sun_strength * 1.9 * np.array([1.0, 0.95 - 0.25 * warmth, 0.86 - 0.50 * warmth])
    clear = np.clip(weather.sun_strength, 0.0, 1.0)
    brightness = sky.mean()
    zenith = sky * (1 - clear) * 0.82 + clear * brightness * np.array([0.30, 0.55, 1.05])
    ambient = weather.ambient_strength * (0.5 * sky + 0.5 * brightness)
    bounce = weather.ambient_strength * 0.42 * brightness + 0.10 * sun * height
    cloud = 0.42 + 0.30 * (1 - clear)
    return {
        "sun_direction": np.append(sun_direction(weather), 0.0),
        "sun_color": np.append(sun, 0.0),
        "sky_ambient": np.append(ambient, 0.0),
        "ground_ambient": np.append(np.broadcast_to(bounce, 3), 0.0),
        "horizon_color": np.append(sky, 0.0),
        "zenith_color": np.append(zenith, 0.0),
        "camera_gain": np.append(weather.exposure * np.array(weather.tint), 0.0),
        "air": np.array([1.4427 * weather.fog_density + 2.5e-4, 1.0, cloud, 1 / SHADOW_RADIUS_M]),
    }


def shadow_clip_T_map(weather: Weather, ego: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) orthographic view from the sun around the ego (3,), on whole shadow pixels.

    Moving in whole pixels keeps the shadows of standing things still.
    """
    toward = sun_direction(weather)
    right = np.cross([0.0, 0.0, 1.0], toward)
    norm = np.linalg.norm(right)
    right = right / norm if norm > 1e-6 else np.array([1.0, 0.0, 0.0])
    up = np.cross(toward, right)
    axes = np.stack([right, up, -toward])
    center = axes @ ego
    pixel = 2 * SHADOW_RADIUS_M / SHADOW_SIZE
    center[:2] = np.round(center[:2] / pixel) * pixel
    matrix = np.eye(4)
    scale = np.array([1 / SHADOW_RADIUS_M, 1 / SHADOW_RADIUS_M, 1 / _LIGHT_DEPTH_M])
    matrix[:3, :3] = axes * scale[:, None]
    matrix[:3, 3] = -center * scale
    return matrix


def shadow_place_T_map(clip_T_map: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) from map to texture place and depth to compare with, both 0..1."""
    half = np.diag([0.5, 0.5, 0.5, 1.0])
    half[:3, 3] = 0.5
    half[2, 3] -= 0.5 * _SHADOW_BIAS_M / _LIGHT_DEPTH_M
    return half @ clip_T_map
