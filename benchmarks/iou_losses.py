# SPDX-License-Identifier: Apache-2.0
"""Where the IoU of visible vehicles is lost, and how exact a network must be for a given one.

    python benchmarks/iou_losses.py out/towns/test [--weights tiny small] [--stride 2]
        [--region within_25m] [--errors 0.05 0.1 0.15 0.2 0.3]

Two tables. The first parts the union of truth and prediction: hit; cells of vehicles of which
nothing was found; the other missed cells, at borders; cells of groups that touch no vehicle; the
other wrongly occupied cells, at borders. The second gives the IoU of the labels with themselves,
each box moved in x and y by a normally distributed error, on cells of half a metre and a quarter.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from bev_perception.datasets.drives import find_bags, open_drive
from bev_perception.datasets.targets import is_visible, make_targets
from bev_perception.evaluation.answers import EngineRespondent
from bev_perception.evaluation.regions import DEFAULT_REGIONS, Region
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform
from bev_perception.geometry.rasterize import cells_in_convex_polygon
from bev_perception.inference import load_engine
from bev_perception.model import resolve_weights

PARTS = ("hit", "vehicles missed", "borders missed", "vehicles invented", "borders spilled")
CELLS_M = (0.5, 0.25)
Boxes = Sequence[ObjectBox]


def answers(
    bags: Sequence[Path], weights: str, stride: int
) -> Iterator[tuple[BevOutput, tuple[ObjectBox, ...]]]:
    """What a network says of every stride-th set, and the labels in the frame of that."""
    respondent = EngineRespondent(load_engine(resolve_weights(weights)))
    for bag in bags:
        with open_drive(bag) as drive:
            sets = drive.sets(stride, points_of=respondent.points_of)
            for labelled, output in respondent.answers(drive, sets):
                boxes = (box.transformed(output.level_T_base) for box in labelled.objects)
                yield output, tuple(boxes)


def parts_of_union(output: BevOutput, boxes: Boxes, region: Region) -> NDArray[np.int64]:
    """Cells of each of PARTS."""
    grid = output.grid
    targets = make_targets(boxes, grid)
    judged = targets.valid & region.contains(grid.cell_centers)
    truth = targets.segmentation & judged
    found = (output.probability > 0.5) & judged
    missed_vehicles = np.zeros(grid.shape, dtype=bool)
    for box in boxes:
        cells = cells_in_convex_polygon(grid, box.footprint)
        if is_visible(box, 0.4) and not found[cells].any():
            missed_vehicles[cells] = True
    groups, count = label(found)
    touching = np.zeros(count + 1, dtype=bool)
    touching[np.unique(groups[targets.segmentation])] = True
    missed, wrong = truth & ~found, found & ~truth
    invented = wrong & ~touching[groups]
    masks = (truth & found, missed & missed_vehicles, missed & ~missed_vehicles)
    return np.array([mask.sum() for mask in (*masks, invented, wrong & ~invented)])


def moved(boxes: Boxes, error_m: float, rng: np.random.Generator) -> list[ObjectBox]:
    """Each box by an error of its own."""
    shifts = np.tile(np.eye(4), (len(boxes), 1, 1))
    shifts[:, :2, 3] = rng.normal(0.0, error_m, (len(boxes), 2))
    return [
        box.transformed(RigidTransform.from_matrix(shift))
        for box, shift in zip(boxes, shifts, strict=True)
    ]


def iou_of_moved(labels: Sequence[Boxes], grid: BevGrid, region: Region, error_m: float) -> float:
    """Pooled IoU of labels with labels whose boxes were moved."""
    rng = np.random.default_rng(0)
    intersection = union = 0
    for boxes in labels:
        targets = make_targets(boxes, grid)
        other = make_targets(moved(boxes, error_m, rng), grid).segmentation
        judged = targets.valid & region.contains(grid.cell_centers)
        intersection += int((targets.segmentation & other & judged).sum())
        union += int(((targets.segmentation | other) & judged).sum())
    return intersection / max(union, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bags", type=Path, nargs="+")
    parser.add_argument("--weights", nargs="+", default=["tiny", "small"])
    parser.add_argument("--stride", type=int, default=2)
    regions = {region.name: region for region in DEFAULT_REGIONS}
    parser.add_argument("--region", choices=regions, default="within_25m")
    parser.add_argument("--errors", type=float, nargs="+", default=[0.05, 0.1, 0.15, 0.2, 0.3])
    options = parser.parse_args()
    bags, region = find_bags(options.bags), regions[options.region]
    print("| weights |", " | ".join(PARTS), "|\n|" + "---|" * (len(PARTS) + 1))
    labels: list[tuple[ObjectBox, ...]] = []
    for weights in options.weights:
        labels, sums = [], np.zeros(len(PARTS), dtype=np.int64)
        for output, boxes in answers(bags, weights, options.stride):
            labels.append(boxes)
            sums += parts_of_union(output, boxes, region)
        shares = " | ".join(f"{share:.1%}" for share in sums / sums.sum())
        print(f"| {weights} | {shares} |", flush=True)
    columns = " | ".join(f"IoU on cells of {cell} m" for cell in CELLS_M)
    print(f"\n| standard deviation, m | {columns} |\n|---|---|---|")
    for error_m in options.errors:
        values = (
            iou_of_moved(labels, BevGrid.centered(50.0, cell), region, error_m) for cell in CELLS_M
        )
        print(f"| {error_m} |", " | ".join(f"{value:.3f}" for value in values), "|", flush=True)


if __name__ == "__main__":
    main()
