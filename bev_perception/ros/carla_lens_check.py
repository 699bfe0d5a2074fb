# SPDX-License-Identifier: Apache-2.0
"""Compares a CameraInfo with the camera that the rig file declares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bev_perception.geometry import PinholeCamera
from bev_perception.geometry.carla_focal import tan_of_degrees
from bev_perception.ros.carla_defects import Defect

FOCAL_TOLERANCE = 1e-3
"""Relative; a third of a pixel at the edge of a 672 pixel image."""
CENTER_TOLERANCE = 0.05
"""Pixels."""
DISTORTION_TOLERANCE = 1e-6


@dataclass(frozen=True)
class FoundLens:
    """Intrinsics as they came, which may be those of no camera.

    Attributes:
        width, height: pixels.
        k: (9,) row-major intrinsic matrix.
        d: distortion coefficients.
    """

    width: int
    height: int
    k: Sequence[float]
    d: Sequence[float] = ()


@dataclass(frozen=True)
class LensVerdict:
    """What is wrong with a CameraInfo.

    Attributes:
        defects: known ones; without them it is the declared camera.
        problem: why it cannot be used, empty when it can.
    """

    defects: tuple[Defect, ...] = ()
    problem: str = ""


def check_lens(declared: PinholeCamera, found: FoundLens) -> LensVerdict:
    """Whether what came is the declared camera, perhaps with known defects."""
    fx, fy, cx, cy = found.k[0], found.k[4], found.k[2], found.k[5]
    if fx == 0.0:
        return LensVerdict((Defect.NO_CALIBRATION,))
    size = f"{found.width}x{found.height}"
    if (found.width, found.height) != (declared.width, declared.height):
        return LensVerdict(
            problem=f"CameraInfo says {size} pixels, the rig file "
            f"{declared.width}x{declared.height}; spawn the camera in that size, or change the "
            f"rig file"
        )
    defects = []
    wrong = _wrong_focal(declared)
    if _is_close(fx, wrong) and _is_close(fy, wrong):
        defects.append(Defect.TAN_OF_DEGREES)
    elif not (_is_close(fx, declared.fx) and _is_close(fy, declared.fy)):
        return LensVerdict(problem=_focal_problem(declared, fx, fy))
    shift = cx - declared.cx, cy - declared.cy
    if max(abs(value - 0.5) for value in shift) <= CENTER_TOLERANCE:
        defects.append(Defect.HALF_PIXEL)
    elif max(map(abs, shift)) > CENTER_TOLERANCE:
        return LensVerdict(
            problem=f"CameraInfo has the principal point at ({cx:g}, {cy:g}), the rig file at "
            f"({declared.cx:g}, {declared.cy:g}) pixels"
        )
    return LensVerdict(tuple(defects), _distortion_problem(declared, found.d))


def _wrong_focal(declared: PinholeCamera) -> float:
    fov_deg = round(declared.horizontal_fov_deg, 9)  # as the blueprint's attribute had it
    return tan_of_degrees(declared.width, fov_deg)


def _is_close(found: float, expected: float) -> bool:
    return abs(found - expected) <= FOCAL_TOLERANCE * abs(expected)


def _focal_problem(declared: PinholeCamera, fx: float, fy: float) -> str:
    text = (
        f"CameraInfo has fx={fx:.2f}, fy={fy:.2f} where the rig file's field of view of "
        f"{declared.horizontal_fov_deg:g} degrees gives {declared.fx:.2f}, and no known mistake "
        f"leads to that"
    )
    if fx > 0.0 and _is_close(fy, fx):
        fov_deg = math.degrees(2.0 * math.atan(declared.width / (2.0 * fx)))
        text += f"; a camera with fov {fov_deg:.2f} has it: make both equal"
    return text


def _distortion_problem(declared: PinholeCamera, d: Sequence[float]) -> str:
    wanted = list(declared.distortion) + [0.0] * max(0, len(d) - len(declared.distortion))
    given = list(d) + [0.0] * max(0, len(wanted) - len(d))
    if all(abs(a - b) <= DISTORTION_TOLERANCE for a, b in zip(given, wanted)):
        return ""
    return f"CameraInfo has the distortion {list(d)}, the rig file {list(declared.distortion)}"
