# SPDX-License-Identifier: Apache-2.0
"""What stands where on a block: buildings, driveways, parking lots, trees, furniture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bev_perception.simulation.blocks import KERB_HEIGHT, LAND_Z, Block
from bev_perception.simulation.curves import left_of
from bev_perception.simulation.footprints import RectangleSet, rectangle_corners
from bev_perception.simulation.parking import Bay
from bev_perception.simulation.polygons import points_in_polygon

STREET_FURNITURE_INSET = 0.65
"""Metres from the kerb to the line of trees, lamps and signs; walkers stay further in."""


@dataclass(frozen=True)
class Plot:
    """A rectangle of land with one use.

    Attributes:
        kind: "building", "house", "lot" or "driveway".
        x, y: centre, metres in map.
        yaw: radians, along the street.
        length, width: metres along and across the street.
    """

    kind: str
    x: float
    y: float
    yaw: float
    length: float
    width: float


@dataclass(frozen=True)
class Placed:
    """Something small: kind is "tree", "conifer", "lamp", "sign", "bin", "bench" or "hedge".

    Attributes:
        x, y, z: metres in map, its foot.
        yaw: radians; towards the street for lamps and signs.
        length: metres, for hedges.
    """

    kind: str
    x: float
    y: float
    z: float
    yaw: float = 0.0
    length: float = 0.0


@dataclass
class Layout:
    """Everything on one block."""

    plots: list[Plot] = field(default_factory=list)
    bays: list[Bay] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)


class _BlockPlanner:
    def __init__(self, block: Block, rng: np.random.Generator) -> None:
        self.block = block
        self.rng = rng
        self.layout = Layout()
        self.taken = RectangleSet()
        self.gates: list[float] = []
        self.density = rng.uniform(0.55, 1.0)
        self.high_rise = rng.random() < 0.55
        self._land = block.inset(block.pavement_width + 0.3)

    def plan(self) -> Layout:
        """Plots along the street first, then street furniture, then trees on what is left."""
        self._frontage()
        self._street_line()
        self._greenery()
        return self.layout

    def _on_land(self, x: float, y: float, yaw: float, length: float, width: float) -> bool:
        corners = rectangle_corners([(x, y)], [yaw], [length], [width])[0]
        steps = np.linspace(0.0, 1.0, 5)[:-1, None]
        ring = np.concatenate(
            [corners[k] + steps * (corners[(k + 1) % 4] - corners[k]) for k in range(4)]
        )
        inside = points_in_polygon(ring, self._land)
        return not inside.any() if self.block.is_outer else bool(inside.all())

    def _frame(self, station: float, depth: float) -> tuple[float, float, float]:
        """Point at a depth behind the kerb and the street's heading there."""
        x, y = self.block.kerb.at(station, depth)
        tangent = self.block.kerb.tangent(station)
        return float(x), float(y), float(np.arctan2(tangent[1], tangent[0]))

    def _frontage(self) -> None:
        rng, station = self.rng, float(self.rng.uniform(0.0, 10.0))
        while station < self.block.kerb.length - 8.0:
            length, depth = rng.uniform(11.0, 26.0), rng.uniform(9.0, 16.0)
            use = rng.random()
            if use > self.density:
                station += length * 0.5
                continue
            if use < 0.12:
                placed = self._lot(station, rng.uniform(20.0, 34.0))
            else:
                setback = rng.uniform(0.3, 2.0) if self.high_rise else rng.uniform(2.0, 7.0)
                kind = "building" if self.high_rise or rng.random() < 0.35 else "house"
                if kind == "house":
                    length, depth = rng.uniform(9.0, 15.0), rng.uniform(8.0, 11.0)
                placed = self._plot(kind, station, length, depth, setback)
            if not placed:
                station += 3.0
                continue
            station += placed + rng.uniform(0.6, 2.0)
            if rng.random() < (0.3 if self.high_rise else 0.8):
                station += self._driveway(station + 1.6)

    def _plot(
        self, kind: str, station: float, length: float, depth: float, setback: float
    ) -> float:
        """Tries a plot that fronts the street, smaller the second time; its length or 0."""
        for scale in (1.0, 0.7):
            size = length * scale, depth * scale
            middle = self.block.pavement_width + setback + size[1] / 2.0
            x, y, yaw = self._frame(station + size[0] / 2.0, middle)
            if self._on_land(x, y, yaw, *size) and self.taken.add_if_fits(x, y, yaw, *size):
                self.layout.plots.append(Plot(kind, x, y, yaw, *size))
                return size[0]
        return 0.0

    def _on_straight(self, station: float, margin: float) -> bool:
        return any(
            (start + 10.0 + margin < station < end - 10.0 - margin)
            for start, end in self.block.driveway_stretches
        )

    def _gate(self, station: float, width: float, depth: float) -> None:
        """Tarmac from the kerb across the pavement."""
        x, y, yaw = self._frame(station, depth / 2.0)
        self.layout.plots.append(Plot("driveway", x, y, yaw, width, depth))
        self.gates.append(station)

    def _driveway(self, station: float) -> float:
        """A driveway for one or two vehicles; the metres of street that it takes."""
        deep = float(self.rng.choice([6.2, 11.8]))
        start = self.block.pavement_width + 0.4
        x, y, yaw = self._frame(station, start + deep / 2.0)
        if not self._on_straight(station, 2.0) or not self._on_land(x, y, yaw, 2.8, deep):
            return 0.0
        if not self.taken.add_if_fits(x, y, yaw, 2.8, deep):
            return 0.0
        self._gate(station, 3.0, start + deep)
        for k in range(int(deep // 5.5)):
            bay = self._frame(station, start + 0.4 + 5.6 * (k + 0.5))
            self.layout.bays.append(Bay(bay[0], bay[1], KERB_HEIGHT, yaw + np.pi / 2, 5.4, 2.7))
        return 3.6

    def _lot(self, station: float, length: float) -> float:
        """A parking lot: two rows of bays and an aisle; the metres of street, or 0."""
        depth, start = 17.0, self.block.pavement_width + 0.8
        middle = station + length / 2.0
        x, y, yaw = self._frame(middle, start + depth / 2.0)
        if not self._on_straight(middle, 3.0) or not self._on_land(x, y, yaw, length, depth):
            return 0.0
        if not self.taken.add_if_fits(x, y, yaw, length, depth):
            return 0.0
        self.layout.plots.append(Plot("lot", x, y, yaw, length, depth))
        self._gate(middle, 5.5, start + 6.0)
        forward = np.array([np.cos(yaw), np.sin(yaw)])
        inward = left_of(forward)
        for along in np.arange(-length / 2.0 + 1.7, length / 2.0 - 1.5, 2.7):
            for across, direction in ((-5.9, -1.0), (5.9, 1.0)):
                if across < 0 and abs(along) < 4.2:
                    continue
                px, py = (x, y) + along * forward + across * inward
                turn = yaw + direction * np.pi / 2.0
                bay = Bay(float(px), float(py), KERB_HEIGHT + 0.01, turn, 5.2, 2.6)
                self.layout.bays.append(bay)
        return length

    def _street_line(self) -> None:
        """Trees, lamps, signs, bins and benches between walkers and kerb."""
        rng = self.rng
        spacing, conifers = rng.uniform(8.0, 16.0), rng.random() < 0.2
        lined = rng.random() < 0.75
        for start, end in self.block.driveway_stretches:
            for k, station in enumerate(np.arange(start + 7.0, end - 6.0, spacing)):
                if any(abs(station - gate) < 4.0 for gate in self.gates):
                    continue
                x, y, yaw = self._frame(float(station), STREET_FURNITURE_INSET)
                street = yaw - np.pi / 2.0
                if k % 3 == 0:
                    self._place("lamp", x, y, street)
                elif lined:
                    self._place("conifer" if conifers else "tree", x, y, rng.uniform(0, 6.28))
                if rng.random() < 0.25:
                    kind = str(rng.choice(["sign", "bin", "bench"]))
                    x, y, yaw = self._frame(float(station) + spacing * 0.4, STREET_FURNITURE_INSET)
                    self._place(kind, x, y, yaw - np.pi / 2.0)
            for edge in (start + 5.2, end - 5.2):
                if rng.random() < 0.5:
                    x, y, yaw = self._frame(edge, STREET_FURNITURE_INSET)
                    self._place("sign", x, y, yaw)

    def _greenery(self) -> None:
        """Trees and hedges where nothing else is."""
        rng, land = self.rng, self._land
        low, high = land.min(axis=0), land.max(axis=0)
        spread = 45.0 if self.block.is_outer else 0.0
        area = float(np.prod(high - low + 2 * spread))
        for _ in range(int(area / (260.0 if self.block.is_outer else 110.0))):
            x, y = rng.uniform(low - spread, high + spread)
            size = rng.uniform(3.0, 4.5)
            if self._on_land(x, y, 0.0, size, size) and self.taken.add_if_fits(
                x, y, 0.0, size, size
            ):
                self._place(
                    "conifer" if rng.random() < 0.25 else "tree", x, y, rng.uniform(0, 6.28)
                )
        for station in np.arange(5.0, self.block.kerb.length - 5.0, 6.0):
            if rng.random() < 0.3:
                x, y, yaw = self._frame(float(station), self.block.pavement_width + 0.8)
                if self._on_land(x, y, yaw, 5.0, 0.7) and self.taken.add_if_fits(
                    x, y, yaw, 5.0, 0.7
                ):
                    self.layout.placed.append(Placed("hedge", x, y, KERB_HEIGHT, yaw, 5.0))

    def _place(self, kind: str, x: float, y: float, yaw: float) -> None:
        on_verge = not self.block.is_outer or kind not in ("tree", "conifer")
        z = KERB_HEIGHT - 0.02 if on_verge else LAND_Z
        self.layout.placed.append(Placed(kind, float(x), float(y), z, float(yaw)))


def plan_block(block: Block, seed: int, index: int) -> Layout:
    """The layout of one block; depends on the town's seed and the block's index only."""
    return _BlockPlanner(block, np.random.default_rng((seed, 7, index))).plan()
