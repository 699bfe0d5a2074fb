# SPDX-License-Identifier: Apache-2.0
"""The lifts by name: a tap table alone, or a module that learns something."""

from __future__ import annotations

from torch import Tensor, nn

from bev_perception.model.attention_lift import AttentionLift
from bev_perception.model.camera_plane_lift import CameraPlaneLift
from bev_perception.model.config import SegnetConfig
from bev_perception.model.depth_lift import DepthLift
from bev_perception.model.lift import lift
from bev_perception.model.lift_geometry import LiftGeometry
from bev_perception.model.taps import TapTable

_LEARNED = {"ground_late": CameraPlaneLift, "depth": DepthLift, "attention": AttentionLift}


def make_lift(config: SegnetConfig) -> nn.Module | None:
    """A module of features (B, S, C, h, w) and geometry to (B, C, Y, X), or None for lifts that
    are a tap table alone."""
    kind = _LEARNED.get(config.lift)
    return None if kind is None else kind(config)


def lifted(features: Tensor, geometry: LiftGeometry, module: nn.Module | None) -> Tensor:
    """Features (B, S, C, h, w) to (B, planes * C, Y, X), by make_lift's module or the table.

    Raises:
        ValueError: features and geometry do not belong together.
    """
    if module is not None:
        plane: Tensor = module(features, geometry)
        return plane
    if not isinstance(geometry, TapTable):
        raise ValueError(f"this lift takes a TapTable, got a {type(geometry).__name__}")
    return lift(features, geometry)
