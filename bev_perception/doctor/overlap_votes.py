# SPDX-License-Identifier: Apache-2.0
"""How many features neighbouring cameras share, under any assignment of images to mountings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.geometry_direction import Flip
from bev_perception.doctor.geometry_overlap import OverlapView, match, overlap_views
from bev_perception.geometry import Rig

_MOST_MOMENTS = 4


class OverlapVotes:
    """Counts matches that agree, each question asked once.

    Args:
        rig: calibration and mounting.
        moments: grey images by camera of one time each.
    """

    def __init__(self, rig: Rig, moments: Sequence[Mapping[str, NDArray[np.uint8]]]) -> None:
        self.views: list[OverlapView] = overlap_views(rig)
        self._rig = rig
        count = min(_MOST_MOMENTS, len(moments))
        chosen = np.linspace(0, max(len(moments) - 1, 0), count).round().astype(int).tolist()
        self._moments = [moments[index] for index in chosen]
        self._known: dict[tuple[int, tuple[str, str], tuple[Flip, Flip]], int] = {}

    def of(self, name: str, flip: Flip = Flip.NONE) -> int:
        """Matches of a camera with all its neighbours when its images are taken as flipped."""
        return self.touching({name}, {}, {name: flip})

    def touching(
        self,
        names: Collection[str],
        sources: Mapping[str, str],
        flips: Mapping[str, Flip] | None = None,
    ) -> int:
        """Matches in all views of the named cameras.

        Args:
            names: of mountings.
            sources: whose images a mounting is supposed to have taken; default its own.
            flips: how a mounting's images are supposed to have been turned.
        """
        flips = flips or {}
        total = 0
        for index, view in enumerate(self.views):
            if names and not set(names) & set(view.names):
                continue
            first, second = view.names
            total += self._count(
                index,
                (sources.get(first, first), sources.get(second, second)),
                (flips.get(first, Flip.NONE), flips.get(second, Flip.NONE)),
            )
        return total

    def total(self, sources: Mapping[str, str], flips: Mapping[str, Flip] | None = None) -> int:
        """Matches in all views; arguments as of touching."""
        return self.touching((), sources, flips)

    def _count(self, index: int, sources: tuple[str, str], flips: tuple[Flip, Flip]) -> int:
        key = index, sources, flips
        if key not in self._known:
            view = self.views[index]
            entries = self._rig[view.names[0]], self._rig[view.names[1]]
            self._known[key] = sum(
                match(view, (images[sources[0]], images[sources[1]]), entries, flips).agreeing
                for images in self._moments
                if sources[0] in images and sources[1] in images
            )
        return self._known[key]
