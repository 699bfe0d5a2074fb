# SPDX-License-Identifier: Apache-2.0
"""Colours that people with any colour vision tell apart, all RGB in 0..255.

Truth and prediction differ in lightness as well as in hue, and every line is drawn with a
dark rim, so that it shows on sky, asphalt and every colour of the probability map.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]

TRUTH: Color = (255, 255, 255)
PREDICTION: Color = (255, 138, 30)
GRID_LINE: Color = (86, 200, 255)
HORIZON: Color = (255, 220, 90)
EGO: Color = (70, 220, 255)
RIM: Color = (12, 14, 20)

PAPER: Color = (18, 21, 28)
"""Background of composed pictures."""

INK: Color = (232, 236, 242)
FAINT_INK: Color = (150, 160, 175)

UNKNOWN_DARK: Color = (58, 60, 64)
UNKNOWN_LIGHT: Color = (92, 95, 100)

VEHICLE_FILL: Color = (253, 231, 37)
"""Truth seen from above; the top of the probability colours, so equal things look equal."""

HIDDEN_FILL: Color = (120, 96, 150)
"""Vehicles that are counted in no metric because the cameras hardly see them."""

HIDDEN_LINE: Color = (158, 132, 190)
"""Outlines of the same."""

OTHER_FILL: Color = (86, 180, 233)
"""Labelled objects that are no vehicles."""

_VIRIDIS = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)
_DARKENING = np.clip(0.4 + np.linspace(0.0, 1.0, 256) / 0.5, 0.0, 1.0)
_PROBABILITY_COLORS = (_VIRIDIS[:, 0, ::-1] * _DARKENING[:, None]).round().astype(np.uint8)


def probability_colors(probability: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Viridis, darkened towards zero: uniform in lightness and safe for every colour vision.

    Args:
        probability: (rows, columns) in 0..1; values outside are clipped, NaN is 0.

    Returns:
        (rows, columns, 3) uint8 RGB.
    """
    levels = np.nan_to_num(np.clip(probability, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    return _PROBABILITY_COLORS[levels]
