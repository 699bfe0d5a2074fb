# SPDX-License-Identifier: Apache-2.0
"""Where the IoU of visible vehicles is lost, and how exact a network must be for a given one.

    python benchmarks/iou_losses.py out/towns/test [--weights tiny small] [--stride 2]
        [--region within_25m] [--errors 0.05 0.1 0.15 0.2 0.3]

Three tables. The first parts the union of truth and prediction: hit; cells of vehicles of which
nothing was found; the other missed cells, at borders; cells of groups that touch no vehicle; the
other wrongly occupied cells, at borders. The second tells of which vehicles they are: missed and
wrongly occupied cells are the nearest visible vehicle's within NEAREST_M, others are nobody's.
The third gives the IoU of the labels with themselves, each box moved in x and y by a normally
distributed error, on cells of half a metre and a quarter.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from bev_perception.datasets.drives import find_bags, open_drive
from bev_perception.datasets.targets import Targets, is_visible, make_targets
from bev_perception.evaluation.answers import EngineRespondent
from bev_perception.evaluation.regions import DEFAULT_REGIONS, Region
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform
from bev_perception.geometry.rasterize import cells_in_convex_polygon
from bev_perception.inference import load_engine
from bev_perception.model import resolve_weights

PARTS = ("hit", "vehicles missed", "borders missed", "vehicles invented", "borders spilled")
CELLS_M = (0.5, 0.25)
NEAREST_M = 3.0
Boxes = Sequence[ObjectBox]


@dataclass(frozen=True)
class VehicleCells:
    """Cells of a visible vehicle: its own that were found, and those of either error."""

    box: ObjectBox
    hit: int
    lost: int


def _between(value: Callable[[ObjectBox], float], low: float, high: float) -> Callable[..., bool]:
    return lambda box: low <= value(box) < high


def _distance_m(box: ObjectBox) -> float:
    return float(np.linalg.norm(box.pose.translation[:2]))


GROUPS: Mapping[str, Callable[[ObjectBox], bool]] = {
    "within 10 m": _between(_distance_m, 0.0, 10.0),
    "10 to 15 m": _between(_distance_m, 10.0, 15.0),
    "15 to 20 m": _between(_distance_m, 15.0, 20.0),
    "20 to 25 m": _between(_distance_m, 20.0, 25.0),
    "beyond 25 m": _between(_distance_m, 25.0, np.inf),
    "seen for 40 to 60 %": _between(lambda box: box.visibility, 0.4, 0.6),
    "60 to 80 %": _between(lambda box: box.visibility, 0.6, 0.8),
    "80 to 97 %": _between(lambda box: box.visibility, 0.8, 0.97),
    "97 % and more": _between(lambda box: box.visibility, 0.97, np.inf),
    "shorter than 3 m": _between(lambda box: float(box.size[0]), 0.0, 3.0),
}
"""Kinds of vehicles by how far from the vehicle's origin, how well seen and how long they are."""


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


def judged_cells(
    output: BevOutput, targets: Targets, region: Region
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cells that count and are occupied, in truth and by what was predicted."""
    judged = targets.valid & region.contains(output.grid.cell_centers)
    return targets.segmentation & judged, (output.probability > 0.5) & judged


def parts_of_union(output: BevOutput, boxes: Boxes, region: Region) -> NDArray[np.int64]:
    """Cells of each of PARTS."""
    grid = output.grid
    targets = make_targets(boxes, grid)
    truth, found = judged_cells(output, targets, region)
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


def cells_of_vehicles(output: BevOutput, boxes: Boxes, region: Region) -> list[VehicleCells]:
    """Of every visible vehicle that has cells in the region."""
    grid = output.grid
    truth, found = judged_cells(output, make_targets(boxes, grid), region)
    visible = [box for box in boxes if is_visible(box, 0.4)]
    owners = np.full(grid.shape, -1)
    for index, box in enumerate(visible):
        owners[cells_in_convex_polygon(grid, box.footprint)] = index
    if not visible:
        return []
    distances, nearest = distance_transform_edt(owners < 0, grid.resolution, return_indices=True)
    owners = np.where(distances < NEAREST_M, owners[tuple(nearest)], -1)
    cells = []
    for index, box in enumerate(visible):
        own = owners == index
        if (truth & own).any():
            hit, lost = (truth & found & own).sum(), ((truth ^ found) & own).sum()
            cells.append(VehicleCells(box, int(hit), int(lost)))
    return cells


def table_of_groups(cells: Sequence[VehicleCells]) -> Iterator[str]:
    """A row for each of GROUPS: how many, their IoU, and their share of all that is lost."""
    all_lost = max(sum(one.lost for one in cells), 1)
    for name, belongs in GROUPS.items():
        own = [one for one in cells if belongs(one.box)]
        hit, lost = sum(one.hit for one in own), sum(one.lost for one in own)
        yield f"| {name} | {len(own)} | {hit / max(hit + lost, 1):.3f} | {lost / all_lost:.0%} |"


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
    vehicles: dict[str, list[VehicleCells]] = {}
    for weights in options.weights:
        labels, sums = [], np.zeros(len(PARTS), dtype=np.int64)
        vehicles[weights] = []
        for output, boxes in answers(bags, weights, options.stride):
            labels.append(boxes)
            sums += parts_of_union(output, boxes, region)
            vehicles[weights] += cells_of_vehicles(output, boxes, region)
        shares = " | ".join(f"{share:.1%}" for share in sums / sums.sum())
        print(f"| {weights} | {shares} |", flush=True)
    for weights, cells in vehicles.items():
        print(f"\n| vehicles ({weights}) | number | IoU | of what is lost |\n|---|---|---|---|")
        print("\n".join(table_of_groups(cells)), flush=True)
    columns = " | ".join(f"IoU on cells of {cell} m" for cell in CELLS_M)
    print(f"\n| standard deviation, m | {columns} |\n|---|---|---|")
    for error_m in options.errors:
        values = (
            iou_of_moved(labels, BevGrid.centered(50.0, cell), region, error_m) for cell in CELLS_M
        )
        print(f"| {error_m} |", " | ".join(f"{value:.3f}" for value in values), "|", flush=True)


if __name__ == "__main__":
    main()
