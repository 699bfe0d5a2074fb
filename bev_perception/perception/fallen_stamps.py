# SPDX-License-Identifier: Apache-2.0
"""Cameras whose stamps have fallen back, until it is known whether the clock was set back."""

from __future__ import annotations

from enum import Enum
from typing import Generic

from bev_perception.perception.synchronized_set import Frame

PERSISTENT_FRAMES = 3
"""A camera that has sent so many frames since its stamps fell is no accident."""


class Verdict(Enum):
    """What fallen stamps mean."""

    OPEN = "too early to say"
    CLOCK = "the clock was set back, for all cameras"
    ALONE = "only that camera's stamps fell"


class FallenStamps(Generic[Frame]):
    """Holds frames back until a second witness speaks.

    A clock that was set back takes all cameras along. So it is believed when the stamps of a
    second camera fall, or when one camera goes on behind and no other sends anything. When the
    others go on as before, the camera's stamps were odd, before or now. Frames of before and after
    may be mixed for a moment, so a fall counts as a witness for a while after that, too.

    Args:
        num_cameras: of the synchroniser.
        memory: for how many frames of all cameras a fall counts.
    """

    def __init__(self, num_cameras: int, memory: int) -> None:
        self._num_others = num_cameras - 1
        self._memory = memory
        self._count = 0
        self._fell: dict[str, int] = {}
        self._going_on = 0
        self._held: list[Frame] = []

    @property
    def first_ns(self) -> int | None:
        """Stamp of the frame that is held longest; None where none is."""
        return self._held[0].stamp_ns if self._held else None

    def holds(self, camera: str) -> bool:
        """Whether frames of that camera are held."""
        return any(frame.camera == camera for frame in self._held)

    def note_other(self) -> None:
        """A frame came whose stamp goes on from those before."""
        self._count += 1
        self._going_on += 1

    def hold(self, frame: Frame) -> None:
        """A frame came whose stamp has fallen, or whose camera's has."""
        self._count += 1
        if not self._held:
            self._going_on = 0
        if not self.holds(frame.camera):
            self._fell[frame.camera] = self._count
        self._held.append(frame)

    def release(self, camera: str = "") -> list[Frame]:
        """Frames that were held, in order; of one camera where one is named."""
        released = [frame for frame in self._held if camera in ("", frame.camera)]
        self._held = [frame for frame in self._held if camera not in ("", frame.camera)]
        return released

    def verdict(self, is_over: bool = False) -> Verdict:
        """What is known by now.

        Args:
            is_over: whether nothing more is waited for.
        """
        if not self._held:
            return Verdict.OPEN
        oldest = self._count - self._memory
        if sum(count > oldest for count in self._fell.values()) > 1:
            return Verdict.CLOCK
        if is_over or len(self._held) >= PERSISTENT_FRAMES:
            return Verdict.ALONE if self._going_on else Verdict.CLOCK
        return Verdict.ALONE if self._going_on >= max(1, self._num_others) else Verdict.OPEN
