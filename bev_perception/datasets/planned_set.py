# SPDX-License-Identifier: Apache-2.0
"""A set of a drive before it is written, and whether it will be."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.datasets.image_survey import ImageNote
from bev_perception.geometry import RigidTransform


@dataclass(frozen=True, eq=False)
class PlannedSet:
    """One set as it may be written.

    Attributes:
        stamp_ns: of the set.
        images: by camera, only usable ones.
        world_T_base: ego pose.
        cause, detail: why it is left out; empty when it is kept.
        objects: where its boxes' JSON is in the spool.
    """

    stamp_ns: int
    images: dict[str, ImageNote]
    world_T_base: RigidTransform | None
    cause: str = ""
    detail: str = ""
    objects: tuple[int, int] = (0, 0)
