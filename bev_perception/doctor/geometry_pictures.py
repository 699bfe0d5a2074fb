# SPDX-License-Identifier: Apache-2.0
"""Pictures beside what images contradict: as the calibration says, and as the images do."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.geometry_assignment import Outcome, Verdict
from bev_perception.doctor.geometry_direction import Flip, judge_corners
from bev_perception.doctor.geometry_evidence import ImagePair
from bev_perception.doctor.geometry_mounting import MountingEstimate
from bev_perception.doctor.geometry_residuals import mended
from bev_perception.doctor.sight import Sight
from bev_perception.geometry import RigCamera
from bev_perception.visualization import draw_ground_grid
from bev_perception.visualization.text import draw_text

_GAP_PX = 6
_AGREES, _CONTRADICTS = (90, 255, 140), (255, 80, 80)
_MOST_ARROWS = 150
_TITLE_PX = 10.0


def explained_picture(looked: Sight, name: str, verdict: Verdict) -> NDArray[np.uint8]:
    """The images of a camera with its own mounting and with what explains them."""
    assert looked.rig is not None
    pair = _middle(looked.pairs[name])
    own = looked.rig[name]
    panels = [_panel(pair, own, "as calibrated", arrows=True)]
    if verdict.outcome is Outcome.FLIPPED:
        panels.append(_panel(pair, own, "turned back", verdict.flip))
    elif verdict.outcome is Outcome.OTHER_CAMERA:
        other = looked.rig[verdict.mounting]
        panels.append(_panel(pair, other, f"mounting of {verdict.mounting}", arrows=True))
    return _beside(panels)


def mounting_picture(looked: Sight, name: str, estimate: MountingEstimate) -> NDArray[np.uint8]:
    """Grid and horizon as calibrated, and with the estimated error taken out."""
    assert looked.rig is not None
    pair = _middle(looked.pairs[name])
    own = looked.rig[name]
    return _beside(
        [
            _panel(pair, own, "as calibrated"),
            _panel(pair, mended(own, estimate.error), "as the images say"),
        ]
    )


def _middle(pairs: tuple[ImagePair, ...]) -> ImagePair:
    return pairs[len(pairs) // 2]


def _panel(
    pair: ImagePair,
    entry: RigCamera,
    title: str,
    flip: Flip = Flip.NONE,
    arrows: bool = False,
) -> NDArray[np.uint8]:
    grey = flip.undo(pair.first)
    drawn = draw_ground_grid(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB).astype(np.uint8), entry)
    if arrows:
        _draw_arrows(drawn, pair, entry)
    draw_text(drawn, title, (12, 14), _TITLE_PX, plate=0.7)
    return drawn


def _draw_arrows(canvas: NDArray[np.uint8], pair: ImagePair, entry: RigCamera) -> None:
    """Where corners moved: green as they must, red as they cannot; the rest is left out."""
    judged, agrees = judge_corners(pair, entry)
    ends = np.stack(pair.corners, axis=1)[judged].round().astype(int)
    step = max(1, len(ends) // _MOST_ARROWS)
    for (start, end), right in zip(ends[::step].tolist(), agrees[judged][::step]):
        color = _AGREES if right else _CONTRADICTS
        cv2.arrowedLine(canvas, start, end, color, 1, cv2.LINE_AA, tipLength=0.3)


def _beside(panels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height = panels[0].shape[0]
    gap = np.zeros((height, _GAP_PX, 3), np.uint8)
    parts = [panels[0]]
    for panel in panels[1:]:
        parts += [gap, panel]
    return np.concatenate(parts, axis=1)
