# SPDX-License-Identifier: Apache-2.0
"""A drive through a town: synchronised images with ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import (
    CameraFrame,
    FrameSet,
    LidarScan,
    ObjectBox,
    Rig,
    RigidTransform,
)
from bev_perception.simulation.lidar import DepthLidar
from bev_perception.simulation.renderer import Renderer
from bev_perception.simulation.scene import RenderedSet, Weather, WorldState
from bev_perception.simulation.town import Town
from bev_perception.simulation.traffic import Traffic
from bev_perception.simulation.weather import random_weather

LABEL_RADIUS_M = 75.0
FIRST_STAMP_NS = 1_000_000_000
WARM_UP_S = 5.0
MAX_STEP_S = 0.1
POSES_KEPT = 1000


@dataclass(frozen=True)
class SimulatedSet:
    """Images of one moment and the truth about it.

    Attributes:
        frame_set: images of all cameras; world_T_base is map_T_base.
        objects: everything within LABEL_RADIUS_M of the ego, in base_link, with visibility.
        state: the world in map.
        rendered: images, ids and, with LiDAR, depths.
        scan: of the LiDAR, or None.
    """

    frame_set: FrameSet
    objects: tuple[ObjectBox, ...]
    state: WorldState
    rendered: RenderedSet
    scan: LidarScan | None = None


class Simulator:
    """Drives the ego vehicle through a procedural town. Same arguments, same bytes.

    Also a perception.FrameSource, through camera_frames, rig and world_T_base.

    Args:
        town_seed: of the town.
        rig: cameras on the ego vehicle.
        rate_hz: sets per second of simulated time.
        weather: default is random_weather(town_seed).
        traffic_seed: default is the town's seed.
        lidar: also make LiDAR scans, which needs depth images.
        busier: see Traffic.

    Raises:
        ConfigurationError: the rate or the factor of traffic is not positive.
        SystemLibraryError: EGL is not installed.
    """

    def __init__(
        self,
        town_seed: int,
        rig: Rig,
        rate_hz: float = 10.0,
        weather: Weather | None = None,
        traffic_seed: int | None = None,
        lidar: bool = False,
        busier: float = 1.0,
    ) -> None:
        if not rate_hz > 0.0:
            raise ConfigurationError(f"simulation rate must be positive, got {rate_hz} Hz")
        self._rig = rig
        self._period_ns = round(1e9 / rate_hz)
        self.weather = weather if weather is not None else random_weather(town_seed)
        self.town = Town(town_seed)
        drive = town_seed if traffic_seed is None else traffic_seed
        self.traffic = Traffic(self.town, drive, busier=busier)
        self.renderer = Renderer(rig, self.town.static_mesh, self.weather, town_seed)
        self._lidar = DepthLidar(rig, seed=town_seed) if lidar else None
        self._count = 0
        self._poses: dict[int, RigidTransform] = {}
        self._advance(WARM_UP_S)

    def rig(self) -> Rig:
        """The cameras as mounted."""
        return self._rig

    def camera_frames(self, names: Sequence[str] | None = None) -> Iterator[CameraFrame]:
        """Images of the named cameras (default all), set by set, without end."""
        wanted = self._rig.names if names is None else names
        while True:
            for simulated in self.run(1):
                yield from (simulated.frame_set.frames[name] for name in wanted)

    def world_T_base(self, stamp_ns: int) -> RigidTransform | None:
        """map_T_base of a set that was made lately, None for any other time."""
        return self._poses.get(stamp_ns)

    def world_frame(self, stamp_ns: int) -> str:
        """The town's map."""
        return "map" if stamp_ns in self._poses else ""

    def run(self, num_sets: int) -> Iterator[SimulatedSet]:
        """The next sets of the drive; calling again goes on where the last one ended."""
        for _ in range(num_sets):
            if self._count:
                self._advance(self._period_ns / 1e9)
            stamp_ns = FIRST_STAMP_NS + self._count * self._period_ns
            self._count += 1
            self._remember(stamp_ns, self.traffic.state().map_T_base)
            yield self._simulated_set(replace(self.traffic.state(), stamp_ns=stamp_ns))

    def close(self) -> None:
        """Frees the renderer."""
        self.renderer.close()

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _advance(self, duration_s: float) -> None:
        steps = max(1, int(np.ceil(duration_s / MAX_STEP_S - 1e-9)))
        for _ in range(steps):
            self.traffic.step(duration_s / steps)

    def _remember(self, stamp_ns: int, map_T_base: RigidTransform) -> None:
        self._poses[stamp_ns] = map_T_base
        if len(self._poses) > POSES_KEPT:
            del self._poses[next(iter(self._poses))]

    def _simulated_set(self, state: WorldState) -> SimulatedSet:
        rendered = self.renderer.render(state, ids=True, depths=self._lidar is not None)
        frames = {
            name: CameraFrame(name, state.stamp_ns, image)
            for name, image in rendered.images.items()
        }
        scan = None
        if self._lidar is not None:
            scan = self._lidar.scan(rendered.depths, rendered.images, state.stamp_ns)
        return SimulatedSet(
            frame_set=FrameSet(state.stamp_ns, frames, world_T_base=state.map_T_base),
            objects=self._labels(state, rendered),
            state=state,
            rendered=rendered,
            scan=scan,
        )

    def _labels(self, state: WorldState, rendered: RenderedSet) -> tuple[ObjectBox, ...]:
        ego = state.map_T_base.translation[:2]
        near = [
            index
            for index, entry in enumerate(state.objects)
            if np.linalg.norm(entry.box.center[:2] - ego) <= LABEL_RADIUS_M
        ]
        shares = self.renderer.visibility(state, rendered, near)
        base_T_map = state.map_T_base.inverse()
        return tuple(
            replace(state.objects[index].box.transformed(base_T_map), visibility=float(share))
            for index, share in zip(near, shares, strict=True)
        )
