# SPDX-License-Identifier: Apache-2.0
"""Compares the cameras' mounting in TF with the one that the rig file declares.

A publisher treats all its cameras alike, so the fewest defects are looked for that explain
every camera at once. A single camera that differs is not explained away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np

from bev_perception.geometry import RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.ros.carla_defects import SIGNS, Defect

METRES = 0.02
RADIANS = math.radians(0.1)
"""Differences up to these are rounding."""

_HALF_TURN = math.radians(179.9)
_KINDS = (Defect.BODY_AXES, Defect.HALVED_ANGLES, *sorted(SIGNS, key=list(Defect).index))

Defects = frozenset[Defect]
Mountings = Mapping[str, RigidTransform]


@dataclass(frozen=True)
class MountingVerdict:
    """What is wrong with the mounting of a rig in TF.

    Attributes:
        defects: known ones that all cameras share; the declared mounting is without them.
        problems: why a camera cannot be used, by camera; empty when all can.
        advice: what may have happened, empty for nothing.
    """

    defects: tuple[Defect, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    advice: str = ""


def check_mountings(
    declared: Mountings, found: Mountings, mounted_as_declared: bool = False
) -> MountingVerdict:
    """Whether what came is the declared mounting, perhaps with known defects.

    Args:
        declared: base_T_camera of each camera, optical frames.
        found: base_T_frame of each camera's frame as TF has it.
        mounted_as_declared: the cameras are known to be where the rig file has them, so that
            wrong signs are TF's.
    """
    candidates = [frozenset(chosen) for chosen in _subsets(_KINDS)]
    for defects in candidates:
        if all(_is_explained(declared[name], found[name], defects) for name in declared):
            return _explained(defects, declared, mounted_as_declared)
    best = min(candidates, key=lambda defects: _cost(declared, found, defects))
    wrong = {
        name: _difference_text(declared[name], found[name], best)
        for name in declared
        if not _is_explained(declared[name], found[name], best)
    }
    return MountingVerdict(_ordered(best), wrong, _advice(declared, found, best, wrong))


def published_mountings(
    base_T_camera: RigidTransform, defects: Iterable[Defect]
) -> Iterator[RigidTransform]:
    """What a publisher with these defects makes of a mounting.

    Half of 180 degrees is 90 or -90, as 180 and -180 are the same angle; hence several.
    """
    defects = frozenset(defects)
    base_T_body = base_T_camera @ BODY_T_OPTICAL.inverse()
    x, y, z = base_T_body.translation
    place = (x, -y if Defect.Y_SIGN in defects else y, z)
    signs = [-1.0 if kind in defects else 1.0 for kind in _AXES]
    factor = 0.5 if Defect.HALVED_ANGLES in defects else 1.0
    axes = RigidTransform.identity() if Defect.BODY_AXES in defects else BODY_T_OPTICAL
    choices = [_same_angles(angle) if factor != 1.0 else (angle,) for angle in base_T_body.euler]
    for angles in product(*choices):
        roll, pitch, yaw = (factor * sign * angle for sign, angle in zip(signs, angles))
        yield RigidTransform.from_euler(roll, pitch, yaw, place) @ axes


_AXES = (Defect.ROLL_SIGN, Defect.PITCH_SIGN, Defect.YAW_SIGN)


def _same_angles(angle: float) -> tuple[float, ...]:
    return (angle, -angle) if abs(angle) > _HALF_TURN else (angle,)


def _subsets(kinds: tuple[Defect, ...]) -> Iterator[tuple[Defect, ...]]:
    """The fewest first."""
    for count in range(len(kinds) + 1):
        yield from combinations(kinds, count)


def _ordered(defects: Defects) -> tuple[Defect, ...]:
    return tuple(kind for kind in Defect if kind in defects)


def _nearest(declared: RigidTransform, found: RigidTransform, defects: Defects) -> RigidTransform:
    return min(published_mountings(declared, defects), key=found.angle_to)


def _is_explained(declared: RigidTransform, found: RigidTransform, defects: Defects) -> bool:
    return _nearest(declared, found, defects).is_close(found, METRES, RADIANS)


def _cost(declared: Mountings, found: Mountings, defects: Defects) -> tuple[int, float]:
    """Cameras that defects leave unexplained, then by how much."""
    unexplained, angle = 0, 0.0
    for name, mounting in declared.items():
        unexplained += not _is_explained(mounting, found[name], defects)
        angle += _nearest(mounting, found[name], defects).angle_to(found[name])
    return unexplained, angle + 0.01 * len(defects)


def _explained(defects: Defects, declared: Mountings, mounted: bool) -> MountingVerdict:
    signs = _ordered(defects & SIGNS)
    if not signs or mounted:
        return MountingVerdict(_ordered(defects))
    faults = " and ".join(kind.fault for kind in signs)
    advice = (
        f"either TF has {faults}, then set mounted_as_rig: true, or the cameras were spawned "
        f"with values that were not converted and really look elsewhere, then spawn them with "
        f"y, pitch and yaw of the other sign"
    )
    problems = dict.fromkeys(declared, f"TF has {faults}")
    return MountingVerdict(_ordered(defects), problems, advice)


def _difference_text(declared: RigidTransform, found: RigidTransform, defects: Defects) -> str:
    nearest = _nearest(declared, found, defects)
    shift = found.translation - nearest.translation
    angle_deg = math.degrees(nearest.angle_to(found))
    x, y, z = shift
    text = (
        f"TF has it {angle_deg:.2f} degrees turned and {np.linalg.norm(shift):.3f} m "
        f"({x:+.3f}, {y:+.3f}, {z:+.3f}) away from where the rig file has it"
    )
    known = ", ".join(kind.fault for kind in _ordered(defects))
    return f"{text}, beside {known}" if known else f"{text}, and no known mistake leads to that"


def _advice(declared: Mountings, found: Mountings, defects: Defects, wrong: Iterable[str]) -> str:
    """What may have happened that is no defect of a publisher."""
    nearest = {name: _nearest(declared[name], found[name], defects) for name in declared}
    shifts = np.array([found[name].translation - nearest[name].translation for name in declared])
    turned = [found[name].angle_to(nearest[name]) > RADIANS for name in declared]
    if not any(turned) and np.ptp(shifts, axis=0).max() <= METRES:
        x, y, z = shifts.mean(axis=0)
        return (
            f"all cameras are shifted by the same ({x:+.3f}, {y:+.3f}, {z:+.3f}) m: change "
            f"ego_position, the place of the simulator's vehicle frame in base_link, by "
            f"({-x:+.3f}, {-y:+.3f}, {-z:+.3f})"
        )
    for name in wrong:
        for other in declared:
            if other != name and _is_explained(declared[other], found[name], defects):
                return f"{name!r} is where the rig file has {other!r}: topics may be swapped"
    return ""
