# SPDX-License-Identifier: Apache-2.0
"""What goes into the synchroniser and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Stamped(Protocol):
    """Anything that one camera sent at one time: a CameraFrame, or a message not yet decoded."""

    @property
    def camera(self) -> str:
        """Name in the rig."""
        ...

    @property
    def stamp_ns(self) -> int:
        """Time of exposure, nanoseconds."""
        ...


Frame = TypeVar("Frame", bound=Stamped)


@dataclass(frozen=True, eq=False)
class SynchronizedSet(Generic[Frame]):
    """Frames of one moment, perhaps with cameras missing.

    Attributes:
        stamp_ns: the anchor's stamp in nanoseconds, the earliest of the frames.
        frames: by camera name in the rig's order; only those that came.
        missing: names of the cameras that did not come in time.
    """

    stamp_ns: int
    frames: Mapping[str, Frame]
    missing: tuple[str, ...] = ()
