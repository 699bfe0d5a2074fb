# SPDX-License-Identifier: Apache-2.0
"""The ground as each camera sees it alone: the geometry of the lift "ground_late".

It is a tap table whose rows along y are those of all cameras, one plane below the other; no
camera's plane takes anything of another camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bev_perception.geometry import Rig
from bev_perception.model.config import SegnetConfig
from bev_perception.model.tap_builder import build_tap_table, checked_present
from bev_perception.model.taps import GatherTable, TapTable


def build_camera_planes(
    rig: Rig,
    config: SegnetConfig,
    present: Sequence[bool] | None = None,
    backward: bool = False,
) -> TapTable:
    """A table of voxel shape (S * Y, X, 1); see build_tap_table for arguments and errors."""
    flags = checked_present(rig, config, present)
    positions = range(len(rig))
    tables = [
        build_tap_table(rig, config, [flags[each] and each == one for each in positions])
        for one in positions
    ]
    num_y, num_x = config.grid.shape
    table = replace(
        tables[0],
        forward=GatherTable.stacked([table.forward for table in tables], 0),
        voxel_shape=(len(rig) * num_y, num_x, 1),
        seen=np.logical_or.reduce([table.seen for table in tables]),
    )
    return table.with_backward() if backward else table


def seen_by(planes: TapTable) -> Tensor:
    """(B, S, Y, X) bool: which camera sees which cell."""
    lines, num_x, _ = planes.voxel_shape
    seen = torch.diff(planes.forward.offsets) > 0
    return seen.view(planes.batch_size, planes.num_cameras, lines // planes.num_cameras, num_x)
