# SPDX-License-Identifier: Apache-2.0
"""A spinning LiDAR sampled from the cameras' depth images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import SCAN_FIELDS, LidarScan, Rig, RigidTransform

ABOVE_CAMERAS_M = 0.2


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


def lidar_mounting(rig: Rig) -> RigidTransform:
    """base_T_lidar of the vehicle's LiDAR: amid the cameras, ABOVE_CAMERAS_M over the highest."""
    places = np.stack([entry.base_T_camera.translation for entry in rig.cameras.values()])
    x, y, _ = places.mean(axis=0).tolist()
    return RigidTransform.from_euler(translation=(x, y, places[:, 2].max() + ABOVE_CAMERAS_M))


class DepthLidar:
    """Turns depth images into points; each shot starts at the camera that sees its direction.

    A real LiDAR has one origin. Here every camera is the origin of its own shots, so that
    each point lies exactly on a surface that this camera sees. They are told in the frame of a
    LiDAR at lidar_mounting.
    """

    def __init__(self, rig: Rig, settings: LidarSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or LidarSettings()
        self._seed = seed
        self._base_T_lidar = lidar_mounting(rig)
        elevation = np.radians(np.linspace(*self.settings.elevations_deg, self.settings.num_beams))
        azimuth = np.radians(np.arange(-180.0, 180.0, self.settings.azimuth_step_deg))
        azimuths, elevations = (part.ravel() for part in np.meshgrid(azimuth, elevation))
        rings = np.repeat(np.arange(len(elevation), dtype=np.uint16), len(azimuth))
        flat = np.cos(elevations)
        directions = np.stack(
            [flat * np.cos(azimuths), flat * np.sin(azimuths), np.sin(elevations)], axis=1
        )
        taken = np.zeros(len(directions), dtype=bool)
        self._shots: dict[str, _Shots] = {}
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
            self._shots[name] = _Shots(whole[chosen], rays, rings[chosen])

    def scan(
        self,
        depths: Mapping[str, NDArray[np.float32]],
        images: Mapping[str, NDArray[np.uint8]],
        stamp_ns: int,
    ) -> LidarScan:
        """One turn, all of it at one moment.

        The intensity is how bright the surface is in the image, 0 to 255: the town's surfaces
        have no reflectance.

        Args:
            depths: (height, width) metres along the optical axis by camera name.
            images: (height, width, 3) by camera name.
            stamp_ns: decides noise and dropouts, together with the seed.
        """
        rng = np.random.default_rng((self._seed, stamp_ns))
        clouds = []
        for name, shots in self._shots.items():
            columns, rows = shots.pixels.T
            depth = depths[name][rows, columns].astype(np.float64)
            length = np.linalg.norm(shots.rays, axis=1)
            noise = rng.standard_normal(len(depth)) * self.settings.range_noise_m
            kept = rng.random(len(depth)) >= self.settings.dropout
            measured = depth * length + noise
            kept &= np.isfinite(depth) & (measured < self.settings.max_range_m)
            points = shots.rays[kept] * (measured[kept] / length[kept])[:, None]
            lidar_T_camera = self._base_T_lidar.inverse() @ self._rig[name].base_T_camera
            returns = np.zeros(int(kept.sum()), dtype=list(SCAN_FIELDS))
            returns["x"], returns["y"], returns["z"] = lidar_T_camera.apply(points).T
            returns["intensity"] = images[name][rows[kept], columns[kept]].mean(axis=1)
            returns["ring"] = shots.rings[kept]
            clouds.append(returns)
        return LidarScan(self._base_T_lidar, np.concatenate(clouds))


@dataclass(frozen=True, eq=False)
class _Shots:
    """Those of one camera: (N, 2) pixels, (N, 3) rays in its optical frame, (N,) beams."""

    pixels: NDArray[np.int64]
    rays: NDArray[np.float64]
    rings: NDArray[np.uint16]
