# SPDX-License-Identifier: Apache-2.0
"""Pedestrians: along pavements, waiting at zebras, across them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.blocks import KERB_HEIGHT, Block
from bev_perception.simulation.crossings import Crossing
from bev_perception.simulation.fleet_mix import draw_color
from bev_perception.simulation.path_samples import FloatArray, IntArray, PathSamples

BODY_RADIUS = 0.425
"""Half diagonal of a pedestrian's square, so that two never overlap however they turn."""

WALK_INSET = 1.55
"""Nearest that walkers come to the kerb between zebras, metres."""

CROSSING_SHARE = 0.15
COURTESY_S = 20.0
"""How long a pedestrian lets vehicles go that have waited long themselves."""

STRIDE = 1.45
"""Metres per full gait cycle."""

_TURN_RATE = 4.0

_ARRAYS = (
    "block", "station", "direction", "inset", "_wanted_inset", "pace", "speed", "leg", "_zebra",
    "_way", "_goal", "waiting_s", "blocked_s", "_detour_s", "_detour_angle", "phase", "center",
)  # fmt: skip


class Pedestrians:
    """All pedestrians, as arrays.

    A walker follows the pavement of a block at some inset from the kerb. At a zebra it may
    leave for the block opposite over four waypoints: its place, the near kerb, the far kerb,
    its place on the other pavement; ``leg`` counts them, -1 on the pavement.

    Attributes:
        center: (N, 2) metres in map; z: (N,) height of the ground under them.
        yaw: (N,) radians; phase: (N,) gait, radians.
        colors: clothes.
    """

    def __init__(
        self,
        blocks: tuple[Block, ...],
        crossings: tuple[Crossing, ...],
        count: int,
        rng: np.random.Generator,
    ) -> None:
        self._rng, self._crossings = rng, crossings
        self._paths = PathSamples([block.kerb for block in blocks], 0.5)
        self._widths = np.array([block.pavement_width for block in blocks])
        self._doors = self._zebra_doors(len(blocks))
        shares = self._paths.lengths / self._paths.lengths.sum()
        self.block: IntArray = rng.choice(len(blocks), size=count, p=shares)
        self.station = self._spread(count)
        self.direction = rng.choice([-1.0, 1.0], size=count)
        self.inset = np.array([self._drawn_inset(b) for b in self.block])
        self._wanted_inset = self.inset.copy()
        self.pace = np.clip(rng.normal(1.35, 0.2, count), 0.8, 1.9)
        self.speed = self.pace.copy()
        self.leg = np.full(count, -1)
        self._zebra = np.full(count, -1)
        self._way = np.zeros((count, 4, 2))
        self._goal = np.zeros((count, 4))
        self.waiting_s = np.zeros(count)
        self.blocked_s = np.zeros(count)
        self._detour_s = np.zeros(count)
        self._detour_angle = np.zeros(count)
        self.colors = [draw_color("pedestrian", rng) for _ in range(count)]
        self.phase = rng.uniform(0.0, 2.0 * np.pi, count)
        self.center = self._paths.position_beside(self.block, self.station, self.inset)
        self._drop_crowded()
        self.yaw = rng.uniform(-np.pi, np.pi, len(self.leg))
        self.z = np.full(len(self.leg), KERB_HEIGHT)

    def __len__(self) -> int:
        return len(self.leg)

    def on_zebras(self) -> dict[int, list[tuple[float, float]]]:
        """By zebra: (metres left of the way out, direction) of everyone on it."""
        found: dict[int, list[tuple[float, float]]] = {}
        for k in np.flatnonzero(self.leg == 1):
            zebra = self._crossings[self._zebra[k]]
            offset = float((self.center[k] - zebra.middle) @ zebra.across)
            heading = float((self._way[k, 2] - self._way[k, 1]) @ zebra.across)
            found.setdefault(zebra.index, []).append((offset, float(np.sign(heading))))
        return found

    def zebra_wait_s(self) -> FloatArray:
        """(Z,) the longest that anybody has been waiting at each zebra."""
        wait = np.zeros(len(self._crossings))
        waiting = self.waiting_s > 0.0
        np.maximum.at(wait, self._zebra[waiting], self.waiting_s[waiting])
        return wait

    def step(
        self,
        dt_s: float,
        zebra_in_use: NDArray[np.bool_],
        zebra_urgent: NDArray[np.bool_],
        is_blocked: Callable[[FloatArray, FloatArray], NDArray[np.bool_]],
    ) -> None:
        """Everyone takes a step, unless it would run into somebody.

        Args:
            zebra_in_use: (Z,) a vehicle is about to pass.
            zebra_urgent: (Z,) a vehicle has waited long; nobody else sets out.
            is_blocked: (M, 2) points from and to, (M,) whether a vehicle is in between.
        """
        self._set_out(dt_s, zebra_in_use, zebra_urgent)
        waiting = self.waiting_s > 0.0
        self.speed = np.minimum(self.speed + 1.5 * dt_s, self.pace)
        self.speed[waiting] = 0.0
        place, station, inset, arrived = self._proposed(dt_s)
        stopped = np.zeros(len(self), dtype=bool)
        routed = np.flatnonzero((self.leg >= 0) & ~waiting)
        stopped[routed] |= is_blocked(self.center[routed], place[routed])
        self._detour_s = np.maximum(self._detour_s - dt_s, 0.0)
        stopped = self._settled(place, stopped)
        moved = np.where(stopped[:, None], self.center, place)
        self._turn(moved - self.center, dt_s)
        self.phase = np.mod(
            self.phase + np.linalg.norm(moved - self.center, axis=1) / STRIDE * 2.0 * np.pi,
            2.0 * np.pi,
        )
        walking = ~stopped & (self.leg < 0)
        passed = self._passed_door(walking, station)
        self.station[walking], self.inset[walking] = station[walking], inset[walking]
        self.center = moved
        self.speed[stopped] = 0.0
        self.blocked_s = np.where(stopped & ~waiting, self.blocked_s + dt_s, 0.0)
        for k in np.flatnonzero(arrived & ~stopped & ~waiting):
            self._next_leg(int(k))
        for walker, zebra, side in passed:
            self._leave_for(walker, zebra, side)
        self._give_way()
        on_road = (self.leg == 1).astype(float)
        self.z += np.clip(KERB_HEIGHT * (1.0 - on_road) - self.z, -0.4 * dt_s, 0.4 * dt_s)

    def _proposed(
        self, dt_s: float
    ) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]:
        """Next place, station and inset of all, and who reaches its waypoint."""
        length = self._paths.lengths[self.block]
        station = np.mod(self.station + self.direction * self.speed * dt_s, length)
        inset = self.inset + np.clip(self._wanted_inset - self.inset, -0.5 * dt_s, 0.5 * dt_s)
        place = self._paths.position_beside(self.block, station, inset)
        routed = np.flatnonzero(self.leg >= 0)
        goal = self._way[routed, self.leg[routed] + 1]
        gap = goal - self.center[routed]
        distance = np.linalg.norm(gap, axis=1)
        reach = np.minimum(self.speed[routed] * dt_s, distance)
        step = gap * (reach / np.maximum(distance, 1e-9))[:, None]
        angle = np.where(self._detour_s[routed] > 0.0, self._detour_angle[routed], 0.0)
        c, s = np.cos(angle), np.sin(angle)
        turned = np.stack([c * step[:, 0] - s * step[:, 1], s * step[:, 0] + c * step[:, 1]], -1)
        place[routed] = self.center[routed] + turned
        arrived = np.zeros(len(self), dtype=bool)
        arrived[routed] = (distance <= self.speed[routed] * dt_s + 1e-6) & (angle == 0.0)
        return place, station, inset, arrived

    def _settled(self, place: FloatArray, stopped: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Stops whoever walks into another, until nobody overlaps."""
        gap = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
        first, second = np.nonzero(np.triu(gap < 2.0 * BODY_RADIUS + 1.0, 1))
        while True:
            now = np.where(stopped[:, None], self.center, place)
            way = now[second] - now[first]
            hit = np.hypot(way[:, 0], way[:, 1]) < 2.0 * BODY_RADIUS
            hit &= ~(stopped[first] & stopped[second])
            if not hit.any():
                return stopped
            a, b = first[hit], second[hit]
            step = place - self.center
            a_ahead, b_ahead = (step[a] * way[hit]).sum(-1), -(step[b] * way[hit]).sum(-1)
            stop_a = ~stopped[a] & ((a_ahead >= b_ahead) | stopped[b])
            stopped[a[stop_a]] = True
            stopped[b[~stop_a]] = True

    def _turn(self, step: FloatArray, dt_s: float) -> None:
        moving = np.hypot(step[:, 0], step[:, 1]) > 1e-5
        wanted = np.arctan2(step[:, 1], step[:, 0])
        difference = np.mod(wanted - self.yaw + np.pi, 2.0 * np.pi) - np.pi
        limit = _TURN_RATE * dt_s
        self.yaw = self.yaw + np.where(moving, np.clip(difference, -limit, limit), 0.0)

    def _passed_door(
        self, walking: NDArray[np.bool_], station: FloatArray
    ) -> list[tuple[int, int, int]]:
        """Walkers that come by a zebra and decide to cross: (index, zebra, side)."""
        found = []
        step = np.abs(station - self.station)
        for k in np.flatnonzero(walking & (step < 2.0)):
            low, high = sorted((self.station[k], station[k]))
            stations, zebras, sides = self._doors[self.block[k]]
            hit = np.searchsorted(stations, low, side="right")
            passes = hit < len(stations) and stations[hit] <= high
            if passes and self._rng.random() < CROSSING_SHARE:
                found.append((int(k), int(zebras[hit]), int(sides[hit])))
        return found

    def _leave_for(self, k: int, index: int, side: int) -> None:
        """Plans the way over a zebra; side is +1 if the walker starts at its left kerb."""
        zebra = self._crossings[index]
        near, far = (zebra.left, -zebra.right) if side > 0 else (-zebra.right, zebra.left)
        heading = np.sign(far - near) * zebra.across
        keep_right = np.array([heading[1], -heading[0]]) * self._rng.uniform(0.3, 1.2)
        block = zebra.right_block if side > 0 else zebra.left_block
        station = zebra.right_station if side > 0 else zebra.left_station
        station = float(np.mod(station, self._paths.lengths[block]))
        inset = self._drawn_inset(block)
        end = self._paths.position_beside(np.array([block]), np.array([station]), np.array([inset]))
        start = zebra.middle + zebra.across * (near + side * 0.5) + keep_right
        stop = zebra.middle + zebra.across * (far - side * 0.5) + keep_right
        self._way[k] = [self.center[k], start, stop, end[0]]
        self._goal[k] = block, station, inset, self._rng.choice([-1.0, 1.0])
        self._zebra[k], self.leg[k] = index, 0

    def _next_leg(self, k: int) -> None:
        if self.leg[k] == 0:
            self.waiting_s[k] = 1e-6
        elif self.leg[k] == 1:
            self.leg[k] = 2
        else:
            block, self.station[k], self.inset[k], self.direction[k] = self._goal[k]
            self.block[k] = int(block)
            self._wanted_inset[k] = self.inset[k]
            self.leg[k], self._zebra[k] = -1, -1

    def _set_out(self, dt_s: float, in_use: NDArray[np.bool_], urgent: NDArray[np.bool_]) -> None:
        waiting = np.flatnonzero(self.waiting_s > 0.0)
        self.waiting_s[waiting] += dt_s
        for k in waiting:
            courteous = urgent[self._zebra[k]] and self.waiting_s[k] < COURTESY_S
            if not in_use[self._zebra[k]] and not courteous:
                self.leg[k], self.waiting_s[k] = 1, 0.0

    def _give_way(self) -> None:
        """Who is held up steps aside, then turns round."""
        for k in np.flatnonzero((self.blocked_s > 0.4) & (self.leg < 0)):
            if self.blocked_s[k] > 1.5:
                self.direction[k] = -self.direction[k]
                self.blocked_s[k] = 0.0
            self._wanted_inset[k] = self._drawn_inset(int(self.block[k]))
        for k in np.flatnonzero((self.blocked_s > 0.4) & (self.leg >= 0)):
            self._sidestep(int(k))

    def _sidestep(self, k: int) -> None:
        """Waits where it is if that is near the kerb, or walks aside for a moment."""
        self.blocked_s[k] = 0.0
        if self.leg[k] == 0 and np.linalg.norm(self._way[k, 1] - self.center[k]) < 2.5:
            self._way[k, 1] = self.center[k]
            self.waiting_s[k] = 1e-6
            return
        self._detour_s[k] = self._rng.uniform(0.4, 1.0)
        self._detour_angle[k] = self._rng.choice([-1.0, 1.0]) * self._rng.uniform(0.8, 2.4)

    def _drawn_inset(self, block: int) -> float:
        return float(self._rng.uniform(WALK_INSET, self._widths[block] - 0.5))

    def _spread(self, count: int) -> FloatArray:
        return self._rng.uniform(0.0, 1.0, count) * self._paths.lengths[self.block]

    def _drop_crowded(self) -> None:
        """Leaves out whoever was put on top of another."""
        gap = np.hypot(*(self.center[:, None] - self.center[None]).transpose(2, 0, 1))
        crowded = np.triu(gap < 2.0 * BODY_RADIUS + 0.1, 1).any(axis=0)
        for name in _ARRAYS:
            setattr(self, name, getattr(self, name)[~crowded])
        self.colors = [color for color, drop in zip(self.colors, crowded) if not drop]

    def _zebra_doors(self, num_blocks: int) -> list[tuple[FloatArray, IntArray, IntArray]]:
        """By block: stations of zebras, sorted, with zebra index and side."""
        doors: list[list[tuple[float, int, int]]] = [[] for _ in range(num_blocks)]
        for zebra in self._crossings:
            doors[zebra.left_block].append((zebra.left_station, zebra.index, 1))
            doors[zebra.right_block].append((zebra.right_station, zebra.index, -1))
        result = []
        for entries in doors:
            table = np.array(sorted(entries), dtype=np.float64).reshape(-1, 3)
            result.append((table[:, 0], table[:, 1].astype(int), table[:, 2].astype(int)))
        return result
