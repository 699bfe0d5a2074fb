# SPDX-License-Identifier: Apache-2.0
"""What is left out of a drive and why, as spans of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

NANOSECONDS = 1_000_000_000

CAUSES = {
    "gap": "no images for longer than usual",
    "clock jump": "stamps ran twice over this time, so poses and labels are ambiguous",
    "calibration changed": "CameraInfo is not the one that the drive began with",
    "camera missing": "a camera has no image of this moment: dropped, or not synchronised",
    "unusable image": "an image is damaged, black, of one colour or of another size",
    "no ego pose": "the ego pose is not known, though the drive has one",
    "no labels": "there are no labels within 50 ms",
    "bad labels": "a label is impossible",
    "boxes do not project": "most boxes that are said to be visible are in no image",
    "standing": "the vehicle has not driven on",
}
"""Why time is left out; a gap had nothing in it and standing is no defect."""

HARMLESS = frozenset({"standing"})


@dataclass(frozen=True)
class Cut:
    """A span that the shards do not hold.

    Attributes:
        cause: one of CAUSES.
        first_ns, last_ns: stamps of the first and last set left out; of a gap, of the sets
            around it.
        sets: how many were left out.
        detail: the first one's particulars, perhaps empty.
    """

    cause: str
    first_ns: int
    last_ns: int
    sets: int
    detail: str = ""

    def to_dict(self, start_ns: int) -> dict[str, Any]:
        """Plain values; seconds count from the start of the drive."""
        return {
            "cause": self.cause,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "from_s": round((self.first_ns - start_ns) / NANOSECONDS, 3),
            "to_s": round((self.last_ns - start_ns) / NANOSECONDS, 3),
            "sets": self.sets,
            "detail": self.detail,
        }


def cut_spans(judged: Iterable[tuple[int, str, str]]) -> list[Cut]:
    """Neighbours with one cause as one span.

    Args:
        judged: (stamp, cause, detail) of all sets in order; an empty cause keeps a set.
    """
    spans = []
    for cause, group in groupby(judged, key=lambda entry: entry[1]):
        if cause:
            entries = list(group)
            first, last = entries[0], entries[-1]
            spans.append(Cut(cause, first[0], last[0], len(entries), first[2]))
    return spans


def gaps(stamps_ns: Sequence[int], longest_ns: float) -> list[Cut]:
    """Where stamps are farther apart than that."""
    return [
        Cut("gap", before, after, 0, f"{(after - before) / NANOSECONDS:.2f} s without a set")
        for before, after in pairwise(stamps_ns)
        if after - before > longest_ns
    ]
