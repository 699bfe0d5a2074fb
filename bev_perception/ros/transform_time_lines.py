# SPDX-License-Identifier: Apache-2.0
"""Whether stamps of transforms that fall back mean a clock that was set back, or one odd sender."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

JUMP_NS = 2_000_000_000
"""A transform this much older than the one before of the same frame means another time line."""

PERSISTENT = 3
"""So many transforms of a frame in a row behind what came before are no accident."""


class Verdict(Enum):
    """What a stamp means for its transform."""

    GOES_ON = "it goes on from those before"
    RETURNED = "it goes on from those before, and those that were held were odd"
    ALONE = "its frame begins anew, no other"
    HELD = "too early to say"
    CLOCK = "the clock was set back; it belongs to the new time line, as those that were held do"


@dataclass
class _Line:
    newest_ns: int
    before_ns: int | None = None
    num_fallen: int = 0
    message: int = 0


class TransformTimeLines:
    """Remembers the stamps of every moving frame.

    A clock that was set back takes all senders along. So it is believed when two frames fall in
    different messages, or one again and again without coming back. Frames that the ego pose does
    not depend on are no witnesses; nor is a stamp that only falls from an odd one far ahead.

    Args:
        max_frames: further frames are not looked at.
    """

    def __init__(self, max_frames: int) -> None:
        self._max_frames = max_frames
        self._lines: dict[str, _Line] = {}
        self._message = 0

    def clear(self) -> None:
        """For a clock that was set back."""
        self._lines.clear()

    def begin_message(self) -> None:
        """What is looked at from now on came in another message."""
        self._message += 1

    def look(self, child: str, stamp_ns: int, is_witness: bool) -> Verdict:
        """What a stamp means.

        Args:
            child: the transform's child frame.
            stamp_ns: of it, nanoseconds.
            is_witness: whether the ego pose depends on that frame.
        """
        line = self._lines.get(child)
        if line is None:
            if len(self._lines) < self._max_frames:
                self._lines[child] = _Line(stamp_ns)
            return Verdict.GOES_ON
        has_fallen = stamp_ns < line.newest_ns - JUMP_NS
        if line.num_fallen == 0 and not has_fallen:
            line.before_ns, line.newest_ns = line.newest_ns, stamp_ns
            return Verdict.GOES_ON
        if stamp_ns > line.newest_ns:
            self._lines[child] = _Line(stamp_ns, line.newest_ns)
            return Verdict.RETURNED
        is_odd_before = line.before_ns is not None and stamp_ns > line.before_ns
        if not is_witness or (line.num_fallen == 0 and is_odd_before):
            self._lines[child] = _Line(stamp_ns)
            return Verdict.ALONE
        line.num_fallen += 1
        line.message = self._message
        others = [each for name, each in self._lines.items() if each.num_fallen and name != child]
        if line.num_fallen >= PERSISTENT or any(each.message < self._message for each in others):
            return Verdict.CLOCK
        return Verdict.HELD
