# SPDX-License-Identifier: Apache-2.0
"""How well the oriented boxes of found objects fit, seen from above.

The true-positive errors of the nuScenes detection benchmark (Caesar et al. 2020, arXiv:1903.11027,
section 3.1): of predicted and true objects that match by centres within 2 m. Three deviations:
errors are means over all matches, not over recalls; the scale is that of length and width, as
heights are not measured; and hidden vehicles do not count, as in all measures here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from bev_perception.evaluation.center_matching import match_objects
from bev_perception.evaluation.regions import Region
from bev_perception.geometry import ObjectBox
from bev_perception.geometry.convex_polygons import convex_intersection, signed_area

MATCH_DISTANCE_M = 2.0


@dataclass(frozen=True)
class BoxErrors:
    """Sums over found objects; sums of these pool over a split.

    Attributes:
        matches: how many were found.
        translation_error_m: distances of centres on the ground.
        scale_error: 1 - IoU of lengths and widths, centres and headings aligned.
        orientation_error_deg: angles between headings, 0 to 180 degrees.
        axis_error_deg: angles between longitudinal axes, 0 to 90 degrees: which end is the
            front cannot be seen in the cells of a standing car.
        iou: of the rectangles as they lie.
    """

    matches: int = 0
    translation_error_m: float = 0.0
    scale_error: float = 0.0
    orientation_error_deg: float = 0.0
    axis_error_deg: float = 0.0
    iou: float = 0.0

    def __add__(self, other: BoxErrors) -> BoxErrors:
        names = [field.name for field in fields(self)]
        return BoxErrors(*(getattr(self, name) + getattr(other, name) for name in names))

    def means(self) -> dict[str, float]:
        """All but the matches, by name, over the matches; NaN without any."""
        names = [field.name for field in fields(self) if field.name != "matches"]
        count = self.matches or float("nan")
        return {name: getattr(self, name) / count for name in names}


def box_errors(
    found: Sequence[ObjectBox],
    truth: Sequence[ObjectBox],
    visible: Sequence[bool],
    region: Region,
) -> BoxErrors:
    """Errors of the objects of one moment that were found.

    Args:
        found, truth: in one levelled frame.
        visible: per true object, whether it counts.
        region: where true centres count.
    """
    total = BoxErrors()
    matches = match_objects(found, truth, visible, MATCH_DISTANCE_M)
    for box, number in zip(found, matches.tolist()):
        if number >= 0 and region.contains(truth[number].center[:2]):
            total += _errors(box, truth[number])
    return total


def ground_iou(first: ObjectBox, second: ObjectBox) -> float:
    """Intersection over union of the footprints of two boxes in one levelled frame."""
    shared = convex_intersection(first.footprint, second.footprint)
    polygons = shared, first.footprint, second.footprint
    both, one, other = (abs(signed_area(polygon)) for polygon in polygons)
    return both / (one + other - both)


def _errors(found: ObjectBox, true: ObjectBox) -> BoxErrors:
    (length, width), (true_length, true_width) = found.size[:2], true.size[:2]
    shared = min(length, true_length) * min(width, true_width)
    aligned_iou = shared / (length * width + true_length * true_width - shared)
    turn = abs(math.remainder(math.degrees(found.pose.yaw - true.pose.yaw), 360.0))
    return BoxErrors(
        1,
        math.dist(found.center[:2], true.center[:2]),
        1.0 - aligned_iou,
        turn,
        min(turn, 180.0 - turn),
        ground_iou(found, true),
    )
