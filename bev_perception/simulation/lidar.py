# SPDX-License-Identifier: Apache-2.0
"""A spinning LiDAR sampled from the cameras' depth images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import Rig


@dataclass(frozen=True)
class LidarSettings:
    """Ray pattern and errors.

    Attributes:
        elevations_deg: lowest and highest beam.
        num_beams: between them, evenly spaced.
        azimuth_step_deg: between two shots of a beam.
        max_range_m: beyond, nothing returns.
        range_noise_m: standard deviation of the measured range.
        dropout: share of shots that do not return.
    """

    elevations_deg: tuple[float, float] = (-25.0, 8.0)
    num_beams: int = 32
    azimuth_step_deg: float = 0.4
    max_range_m: float = 80.0
    range_noise_m: float = 0.02
    dropout: float = 0.03


class DepthLidar:
    """Turns depth images into points; each shot starts at the camera that sees its direction.

    A real LiDAR has one origin. Here every camera is the origin of its own shots, so that
    each point lies exactly on a surface that this camera sees.
    """

    def __init__(self, rig: Rig, settings: LidarSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or LidarSettings()
        self._seed = seed
        elevation = np.radians(np.linspace(*self.settings.elevations_deg, self.settings.num_beams))
        azimuth = np.radians(np.arange(-180.0, 180.0, self.settings.azimuth_step_deg))
        azimuths, elevations = (part.ravel() for part in np.meshgrid(azimuth, elevation))
        flat = np.cos(elevations)
        directions = np.stack(
            [flat * np.cos(azimuths), flat * np.sin(azimuths), np.sin(elevations)], axis=1
        )
        taken = np.zeros(len(directions), dtype=bool)
        self._shots: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        self._rig = rig
        for name, entry in rig.cameras.items():
            optical = entry.base_T_camera.inverse().rotate(directions)
            pixels, valid = entry.camera.project(optical)
            whole = np.where(valid[:, None], np.round(pixels), -1).astype(np.int64)
            inside = (whole >= 0).all(axis=1)
            inside &= (whole[:, 0] < entry.camera.width) & (whole[:, 1] < entry.camera.height)
            chosen = inside & ~taken
            taken |= chosen
            rays = entry.camera.unproject(whole[chosen].astype(np.float64))
            self._shots[name] = (whole[chosen], rays)

    def points(
        self, depths: Mapping[str, NDArray[np.float32]], stamp_ns: int
    ) -> NDArray[np.float32]:
        """(N, 3) points in base_link, metres.

        Args:
            depths: (height, width) metres along the optical axis by camera name.
            stamp_ns: decides noise and dropouts, together with the seed.
        """
        rng = np.random.default_rng((self._seed, stamp_ns))
        clouds = []
        for name, (pixels, rays) in self._shots.items():
            depth = depths[name][pixels[:, 1], pixels[:, 0]].astype(np.float64)
            length = np.linalg.norm(rays, axis=1)
            noise = rng.standard_normal(len(depth)) * self.settings.range_noise_m
            kept = rng.random(len(depth)) >= self.settings.dropout
            measured = depth * length + noise
            kept &= np.isfinite(depth) & (measured < self.settings.max_range_m)
            points = rays[kept] * (measured[kept] / length[kept])[:, None]
            clouds.append(self._rig.cameras[name].base_T_camera.apply(points))
        return np.concatenate(clouds).astype(np.float32)
