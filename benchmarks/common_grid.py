# SPDX-License-Identifier: Apache-2.0
"""Networks of other cells judged on the same ones: what a cell is said to be, its parts are, too.

The evaluator judges a network on its own grid, where footprints are cut into its own cells: larger
ones forgive more. On a common grid every network has the same truth, and its answer at a cell is
that of its own cell there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from bev_perception.datasets.labelled_set import LabelledDrive, LabelledSet
from bev_perception.evaluation.answers import Answer, EngineRespondent
from bev_perception.geometry import BevGrid, BevOutput
from bev_perception.inference import Engine


class CommonGridRespondent(EngineRespondent):
    """Runs the pipeline and answers on another grid than the network's; for single classes.

    Args:
        engine: the network.
        grid: inside the network's own extent.
    """

    def __init__(self, engine: Engine, grid: BevGrid) -> None:
        super().__init__(engine)
        self._grid = grid

    def answers(self, drive: LabelledDrive, sets: Iterable[LabelledSet]) -> Iterator[Answer]:
        """See Respondent."""
        for labelled, output in super().answers(drive, sets):
            yield labelled, on_grid(output, self._grid)


def on_grid(output: BevOutput, grid: BevGrid) -> BevOutput:
    """An output read at the centres of another grid's cells; objects stay as they were found."""
    own = output.grid
    rows = np.floor((grid.y_centers - own.y_min) / own.resolution).astype(int)
    columns = np.floor((grid.x_centers - own.x_min) / own.resolution).astype(int)
    place = np.ix_(rows, columns)
    # An offset leads from the centre of its cell, and that is now another.
    moved_x = own.x_centers[columns] - grid.x_centers
    moved_y = own.y_centers[rows] - grid.y_centers
    offset = np.stack([
        output.offset[0][place] + moved_x[None, :],
        output.offset[1][place] + moved_y[:, None],
    ])  # fmt: skip
    return replace(
        output,
        grid=grid,
        probability=output.probability[place],
        unknown=output.unknown[place],
        center=output.center[place],
        offset=offset.astype(np.float32),
    )
