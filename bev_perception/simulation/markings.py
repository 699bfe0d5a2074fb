# SPDX-License-Identifier: Apache-2.0
"""Paint on the asphalt: centre lines, lane lines, stop lines, zebras, bays, arrows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.mesh_builder import MeshBuilder
from bev_perception.simulation.parking import ParkingStrip
from bev_perception.simulation.roads import STOP_LINE, ZEBRA, Arm, Road, RoadNetwork
from bev_perception.simulation.scene import Material

PAINT_Z = 0.015
WHITE = np.array([0.72, 0.72, 0.70])
YELLOW = np.array([0.70, 0.46, 0.05])

_ARROW_SHAFT = np.array([[0.0, -0.08], [2.6, -0.08], [2.6, 0.08], [0.0, 0.08]])
_ARROW_HEAD = np.array([[2.6, -0.32], [4.0, -0.02], [4.0, 0.02], [2.6, 0.32]])


class _Painter:
    """Collects rectangles in station and offset of one road."""

    def __init__(self, road: Road) -> None:
        self.road = road
        self.white: list[NDArray[np.float64]] = []
        self.yellow: list[NDArray[np.float64]] = []

    def line(
        self, start: float, end: float, offset: float, width: float = 0.12, yellow: bool = False
    ) -> None:
        """A solid line along the road, in pieces short enough to follow its bends."""
        if end - start < 0.1:
            return
        stations = np.linspace(start, end, max(2, int((end - start) / 2.0) + 1))
        self.pieces(stations[:-1], stations[1:], offset, width, yellow)

    def dashes(self, start: float, end: float, offset: float, dash: float, gap: float) -> None:
        """Dashes along the road."""
        starts = np.arange(start, end - dash, dash + gap)
        self.pieces(starts, starts + dash, offset, 0.13, False)

    def pieces(
        self,
        starts: NDArray[np.float64],
        ends: NDArray[np.float64],
        offset: float,
        width: float,
        yellow: bool,
    ) -> None:
        low, high = (
            np.full(len(starts), offset - width / 2),
            np.full(len(starts), offset + width / 2),
        )
        corners = np.stack(
            [
                np.stack([starts, low], -1),
                np.stack([ends, low], -1),
                np.stack([ends, high], -1),
                np.stack([starts, high], -1),
            ],
            axis=1,
        )
        (self.yellow if yellow else self.white).append(corners)

    def quad(self, corners: NDArray[np.float64]) -> None:
        """One white quadrilateral (4, 2) of stations and offsets."""
        self.white.append(corners[None])

    def flush(self, builder: MeshBuilder, white: NDArray[np.float64]) -> None:
        """Maps everything into the plane and adds it."""
        for parts, color in ((self.white, white), (self.yellow, YELLOW)):
            if not parts:
                continue
            quads = np.concatenate(parts)  # (N, 4, 2) station, offset
            flat = self.road.line.at(quads[..., 0], quads[..., 1])
            solid = np.concatenate([flat, np.full((*flat.shape[:2], 1), PAINT_Z)], axis=-1)
            a, b, d = solid[:, 0], solid[:, 1], solid[:, 3]
            u, v = b - a, d - a
            flipped = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0
            solid[flipped] = solid[flipped][:, ::-1]
            builder.quads(solid, color, Material.MARKING)


def add_markings(
    builder: MeshBuilder, network: RoadNetwork, strips: tuple[ParkingStrip, ...], seed: int
) -> None:
    """All paint of the town; its colours and habits vary with the seed."""
    rng = np.random.default_rng((seed, 5))
    white = WHITE * rng.uniform(0.75, 1.1)
    yellow_center = bool(rng.random() < 0.6)
    for road in network.roads:
        painter = _Painter(road)
        _paint_lengthwise(painter, yellow_center, rng)
        for outward in (True, False):
            _paint_end(painter, network, Arm(road.index, outward), rng)
        for strip in strips:
            if strip.road == road.index:
                _paint_bays(painter, strip)
        painter.flush(builder, white)


def _paint_lengthwise(painter: _Painter, yellow: bool, rng: np.random.Generator) -> None:
    road, section = painter.road, painter.road.section
    start, end = road.first + STOP_LINE, road.last - STOP_LINE
    wide = section.forward_lanes + section.backward_lanes > 2
    if wide or rng.random() < 0.5:
        painter.line(start, end, 0.13, yellow=yellow)
        painter.line(start, end, -0.13, yellow=yellow)
    elif rng.random() < 0.8:
        painter.line(start, start + 8.0, 0.0, yellow=yellow)
        painter.dashes(start + 9.0, end - 8.0, 0.0, 3.0, 4.5)
        painter.line(end - 8.0, end, 0.0, yellow=yellow)
    for count, sign in ((section.forward_lanes, -1.0), (section.backward_lanes, 1.0)):
        for k in range(1, count):
            offset = sign * k * section.lane_width
            solid_start, solid_end = (start, end - 12.0) if sign < 0 else (start + 12.0, end)
            painter.dashes(solid_start, solid_end, offset, 3.0, 5.0)
            if sign < 0:
                painter.line(solid_end + 1.0, end, offset)
            else:
                painter.line(start, solid_start - 1.0, offset)
        edge = sign * (count * section.lane_width + 0.02)
        painter.line(start, end, edge, width=0.10)


def _paint_end(painter: _Painter, network: RoadNetwork, arm: Arm, rng: np.random.Generator) -> None:
    """Zebra, stop line and arrows at one end of a road."""
    road, section = painter.road, painter.road.section
    sign = 1.0 if arm.outward else -1.0
    origin = road.first if arm.outward else road.last

    def mapped(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """From distance to the junction and offset left of the way out."""
        return np.stack([origin + sign * corners[:, 0], sign * corners[:, 1]], axis=-1)

    left, right = network.arm_widths(arm)
    bars = np.arange(-right + 0.45, left - 0.6, 1.0)
    for low in bars:
        near, far = ZEBRA
        painter.quad(
            mapped(np.array([[near, low], [far, low], [far, low + 0.5], [near, low + 0.5]]))
        )
    lanes = section.backward_lanes if arm.outward else section.forward_lanes
    edge = lanes * section.lane_width
    stop = np.array([[0.0, 0.15], [0.4, 0.15], [0.4, edge - 0.1], [0.0, edge - 0.1]])
    painter.quad(mapped(stop + np.array([STOP_LINE - 0.25, 0.0])))
    if lanes > 1 or rng.random() < 0.25:
        for k in range(lanes):
            center = (k + 0.5) * section.lane_width
            for shape in (_ARROW_SHAFT, _ARROW_HEAD):
                placed = np.stack([STOP_LINE + 8.0 - shape[:, 0], center + shape[:, 1]], axis=-1)
                painter.quad(mapped(placed))


def _paint_bays(painter: _Painter, strip: ParkingStrip) -> None:
    """Lines between the bays of a parking strip."""
    inner, outer = strip.inner_offset, strip.outer_offset
    sign = np.sign(outer)
    depth = abs(outer - inner)
    slant = depth / np.tan(strip.angle) if strip.kind == "angled" else 0.0
    pitch = strip.pitch if strip.kind == "angled" else 6.0
    for s in np.arange(strip.start, strip.end + 0.1, pitch):
        if s + slant > strip.end + 1.0:
            break
        length = depth if strip.kind == "angled" else 0.9
        inner_end = outer - sign * length if strip.kind == "parallel" else inner
        painter.quad(
            np.array(
                [[s, inner_end], [s + 0.1, inner_end], [s + slant + 0.1, outer], [s + slant, outer]]
            )
        )
