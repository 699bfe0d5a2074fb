# SPDX-License-Identifier: Apache-2.0
"""A procedural town: everything that stands still, from one seed."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from bev_perception.errors import ConfigurationError
from bev_perception.simulation.blocks import make_blocks
from bev_perception.simulation.buildings import add_bay_lines, add_plot
from bev_perception.simulation.furniture import add_furniture
from bev_perception.simulation.layout import plan_block
from bev_perception.simulation.markings import add_markings
from bev_perception.simulation.mesh_builder import MeshBuilder
from bev_perception.simulation.network import make_network
from bev_perception.simulation.parking import Bay, make_strips
from bev_perception.simulation.scene import Mesh
from bev_perception.simulation.surfaces import add_block, add_land, add_roads
from bev_perception.simulation.vegetation import add_plant


class Town:
    """Roads, blocks and what stands on them, in the map frame (x east, y north, z up).

    The same seed gives the same town, byte for byte. The road surface is z = 0.

    Args:
        seed: 0 or more; see simulation.splits for which seeds are for what.

    Attributes:
        seed: as given.
        network: junctions and roads.
        blocks: land between the roads.
        layouts: what stands on each block.
        strips: kerb-side parking.

    Raises:
        ConfigurationError: the seed is negative.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ConfigurationError(f"town seed must be 0 or more, got {seed}")
        self.seed = int(seed)
        self.network = make_network(self.seed)
        self.blocks = make_blocks(self.network, self.seed)
        self.layouts = tuple(plan_block(block, self.seed, k) for k, block in enumerate(self.blocks))
        self.strips = make_strips(self.network)

    @property
    def bays(self) -> tuple[Bay, ...]:
        """Parking places off the road."""
        return tuple(bay for layout in self.layouts for bay in layout.bays)

    @cached_property
    def static_mesh(self) -> Mesh:
        """All triangles of the town, built at the first use."""
        builder = MeshBuilder()
        add_land(builder, self.seed)
        add_roads(builder, self.network, self.seed)
        add_markings(builder, self.network, self.strips, self.seed)
        for k, (block, layout) in enumerate(zip(self.blocks, self.layouts)):
            rng = np.random.default_rng((self.seed, 8, k))
            add_block(builder, block, rng)
            for plot in layout.plots:
                add_plot(builder, plot, rng)
            for bay in layout.bays:
                if bay.z > 0.125:
                    add_bay_lines(builder, bay)
            for placed in layout.placed:
                if placed.kind in ("tree", "conifer", "hedge"):
                    add_plant(builder, placed, rng)
                else:
                    add_furniture(builder, placed, rng)
        return builder.build()
