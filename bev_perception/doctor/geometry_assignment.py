# SPDX-License-Identifier: Apache-2.0
"""Which mounting took which images, and which way up?

Motion through the images and the overlap of neighbours are asked for every mounting and flip.
What the rig says holds until something else explains the images clearly better; of several
explanations the one with the fewest defects is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bev_perception.doctor.geometry_direction import Agreement, Flip, agreement
from bev_perception.doctor.geometry_evidence import ImagePair
from bev_perception.doctor.overlap_votes import OverlapVotes
from bev_perception.geometry import Rig

MIN_CORNERS = 150
"""Corners that must have moved before motion says anything."""

MIN_MOMENTS = 3

_ENOUGH = 0.6
_CONVINCING = 0.7
_BETTER = 0.25
_RIVAL = 0.75
_CLEAR_RATIO = 3
_CLEAR_MATCHES = 10
_CLEAR_ALONE = 15
_CLEAR_ALONE_RATIO = 4

_TURNED = (Flip.UPSIDE_DOWN, Flip.MIRRORED, Flip.MIRRORED_UPSIDE_DOWN)


NOTHING_SEEN = Agreement(0, 0.0)


class Outcome(Enum):
    """What was found about the images of a camera."""

    FITS = "fits"
    FLIPPED = "flipped"
    OTHER_CAMERA = "other camera"
    CONTRADICTS = "contradicts"
    UNJUDGED = "unjudged"


@dataclass(frozen=True)
class Verdict:
    """On the images of one camera.

    Attributes:
        outcome: what was found.
        motion: corners that move as the rig says.
        matches: features shared with neighbours as the rig says.
        flip: how the images were turned, where they were.
        mounting: name of the camera whose mounting the images fit, where another one's.
        explained: motion under that explanation.
        explained_matches: features shared with neighbours under that explanation.
        mirror_excluded: whether mirrored images would have been noticed.
    """

    outcome: Outcome
    motion: Agreement
    matches: int = 0
    flip: Flip = Flip.NONE
    mounting: str = ""
    explained: Agreement = NOTHING_SEEN
    explained_matches: int = 0
    mirror_excluded: bool = False


def assign(
    pairs: Mapping[str, Sequence[ImagePair]],
    moments: Sequence[Mapping[str, NDArray[np.uint8]]],
    rig: Rig,
) -> dict[str, Verdict]:
    """Judges all cameras of a rig together.

    Args:
        pairs: consecutive images by camera.
        moments: grey images by camera of one time each.
        rig: calibration and mounting.
    """
    votes = OverlapVotes(rig, moments)
    verdicts = {}
    for name in rig:
        motion = agreement(pairs.get(name, ()), rig[name])
        moved = sum(pair.motion_m > 0.0 for pair in pairs.get(name, ())) >= MIN_MOMENTS
        judged = moved and motion.corners >= MIN_CORNERS
        judge = _by_motion if judged else _by_overlap
        verdicts[name] = judge(name, motion, pairs.get(name, ()), rig, votes)
    return _exchanged(verdicts, pairs, rig, votes)


def _by_motion(
    name: str, motion: Agreement, pairs: Sequence[ImagePair], rig: Rig, votes: OverlapVotes
) -> Verdict:
    matches = votes.of(name)
    turned = {flip: agreement(pairs, rig[name], flip) for flip in _TURNED}
    if motion.share >= _ENOUGH:
        verdict = Verdict(Outcome.FITS, motion, matches, mirror_excluded=True)
        for flip in _TURNED:  # a camera that looks ahead sees the same flow in a mirror
            if turned[flip].share < _RIVAL * motion.share:
                continue
            other = votes.of(name, flip)
            if other >= max(_CLEAR_ALONE, _CLEAR_RATIO * matches):
                return replace(
                    verdict,
                    outcome=Outcome.FLIPPED,
                    flip=flip,
                    explained=turned[flip],
                    explained_matches=other,
                )
            if matches < max(_CLEAR_MATCHES, _CLEAR_RATIO * other):
                verdict = replace(verdict, mirror_excluded=False)
        return verdict
    contradicts = Verdict(Outcome.CONTRADICTS, motion, matches)
    best = max(turned[flip].share for flip in _TURNED)
    if best < max(_CONVINCING, motion.share + _BETTER):
        return contradicts
    likely = [flip for flip in _TURNED if turned[flip].share > best - 0.1]
    counts = {flip: votes.of(name, flip) for flip in likely}
    flip = max(likely, key=lambda each: (counts[each] >= _CLEAR_MATCHES) * counts[each])
    if matches >= max(_CLEAR_MATCHES, _CLEAR_RATIO * counts[flip]):
        return replace(contradicts, outcome=Outcome.UNJUDGED)  # traffic fills its view
    return replace(
        contradicts,
        outcome=Outcome.FLIPPED,
        flip=flip,
        explained=turned[flip],
        explained_matches=counts[flip],
    )


def _by_overlap(
    name: str, motion: Agreement, _: Sequence[ImagePair], rig: Rig, votes: OverlapVotes
) -> Verdict:
    matches = votes.of(name)
    counts = {flip: votes.of(name, flip) for flip in _TURNED}
    best = max(_TURNED, key=lambda flip: counts[flip])
    if counts[best] >= max(_CLEAR_ALONE, _CLEAR_ALONE_RATIO * (matches + 1)):
        return Verdict(Outcome.FLIPPED, motion, matches, flip=best, explained_matches=counts[best])
    if matches >= max(_CLEAR_MATCHES, _CLEAR_RATIO * counts[best]):
        return Verdict(Outcome.FITS, motion, matches, mirror_excluded=True)
    return Verdict(Outcome.UNJUDGED, motion, matches)


def _exchanged(
    verdicts: dict[str, Verdict],
    pairs: Mapping[str, Sequence[ImagePair]],
    rig: Rig,
    votes: OverlapVotes,
) -> dict[str, Verdict]:
    """Explains cameras that do not fit by an exchange among them, where that is simpler."""
    wrong = [
        name
        for name, verdict in verdicts.items()
        if verdict.motion.share < _ENOUGH and verdict.motion.corners >= MIN_CORNERS
    ]
    order = _best_exchange(wrong, pairs, rig) if len(wrong) >= 2 else {}
    if not order:
        return verdicts | _exchanged_pair(verdicts, rig, votes)
    flips = sum(verdicts[name].outcome is Outcome.FLIPPED for name in wrong)
    if flips == len(wrong) and not _overlap_favours(order, verdicts, votes):
        return verdicts
    for name, verdict in verdicts.items():
        if verdict.outcome is Outcome.FLIPPED and name not in wrong:  # told by its neighbours
            verdicts[name] = replace(verdict, outcome=Outcome.FITS, flip=Flip.NONE)
    for name, (mounting, explained) in order.items():
        if mounting != name:
            verdicts[name] = Verdict(
                Outcome.OTHER_CAMERA,
                verdicts[name].motion,
                verdicts[name].matches,
                mounting=mounting,
                explained=explained,
            )
    return verdicts


def _best_exchange(
    names: Sequence[str], pairs: Mapping[str, Sequence[ImagePair]], rig: Rig
) -> dict[str, tuple[str, Agreement]]:
    """Mounting and agreement by name of images; empty where no exchange explains all."""
    table = {
        (name, mounting): agreement(pairs[name], rig[mounting])
        for name in names
        for mounting in names
        if rig[name].camera.width * rig[mounting].camera.height
        == rig[mounting].camera.width * rig[name].camera.height
    }
    gain = np.array([[table.get((a, b), NOTHING_SEEN).share for b in names] for a in names])
    rows, columns = linear_sum_assignment(-gain)
    if gain[rows, columns].min() < _CONVINCING:
        return {}
    return {names[r]: (names[c], table[names[r], names[c]]) for r, c in zip(rows, columns)}


def _overlap_favours(
    order: Mapping[str, tuple[str, Agreement]],
    verdicts: Mapping[str, Verdict],
    votes: OverlapVotes,
) -> bool:
    """Whether neighbours do not say that every camera is flipped in its own place instead."""
    sources = {mounting: name for name, (mounting, _) in order.items()}
    exchanged = votes.total(sources)
    flipped = votes.total({}, {name: verdicts[name].flip for name in order})
    return flipped < max(_CLEAR_MATCHES, _CLEAR_RATIO * exchanged)


def _exchanged_pair(
    verdicts: Mapping[str, Verdict], rig: Rig, votes: OverlapVotes
) -> dict[str, Verdict]:
    """Two cameras that stood still, share nothing with neighbours, and would if exchanged."""
    lonely = [
        name
        for name, verdict in verdicts.items()
        if verdict.outcome is Outcome.UNJUDGED and verdict.motion.corners < MIN_CORNERS
    ]
    gains: dict[tuple[str, str], int] = {}
    for index, first in enumerate(lonely):
        for second in lonely[index + 1 :]:
            if _size(rig, first) == _size(rig, second):
                now = votes.touching({first, second}, {})
                then = votes.touching({first, second}, {first: second, second: first})
                if then >= max(_CLEAR_ALONE, _CLEAR_ALONE_RATIO * (now + 1)):
                    gains[first, second] = then
    if not gains:
        return {}
    best = max(gains, key=lambda pair: gains[pair])
    likely = [pair for pair in gains if gains[pair] >= _RIVAL * gains[best]]
    if len(likely) > 1:  # which two, a ring of cameras does not tell
        names = {name for pair in likely for name in pair}
        return {name: replace(verdicts[name], outcome=Outcome.CONTRADICTS) for name in names}
    return {
        name: replace(
            verdicts[name],
            outcome=Outcome.OTHER_CAMERA,
            mounting=other,
            explained_matches=gains[best],
        )
        for name, other in (best, best[::-1])
    }


def _size(rig: Rig, name: str) -> tuple[int, int]:
    return rig[name].camera.width, rig[name].camera.height
