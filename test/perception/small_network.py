# SPDX-License-Identifier: Apache-2.0
"""The tests' tiny network on finer cells and a little wider, so that objects have several cells."""

from __future__ import annotations

from dataclasses import replace

from tiny_network import CONFIG as TINY

from bev_perception.geometry import BevGrid

WIDTHS = (8, 16, 16)
CONFIG = replace(TINY, grid=BevGrid.centered(16.0, 0.5), decoder_widths=WIDTHS, light_widths=WIDTHS)
