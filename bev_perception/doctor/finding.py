# SPDX-License-Identifier: Apache-2.0
"""One thing that the doctor has found, in words that lead to its mending."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bev_perception.doctor.recording import Observation


class Severity(Enum):
    """How much a finding matters; the value is the word that is shown.

    OK says that a check found all well, NOTE what a person may want to know, WARNING what
    costs accuracy or robustness, ERROR what makes results wrong or absent.
    """

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for OK to 3 for ERROR."""
        return list(Severity).index(self)


@dataclass(frozen=True, eq=False)
class Finding:
    """One finding.

    Attributes:
        check: name of the check, lower case with dashes, see docs/doctor.md.
        severity: how much it matters.
        seen: what was seen, with its value and unit.
        camera: that it is about; empty for the whole recording.
        expected: what it should be.
        cause: the likely cause.
        fix: what to do.
        picture: (H, W, 3) uint8 RGB that shows it, None for none.
        picture_text: what the picture shows, a sentence.
    """

    check: str
    severity: Severity
    seen: str
    camera: str = ""
    expected: str = ""
    cause: str = ""
    fix: str = ""
    picture: NDArray[np.uint8] | None = None
    picture_text: str = ""


@dataclass(frozen=True)
class Findings:
    """What has been found so far, for checks that rest on earlier ones."""

    entries: Sequence[Finding] = ()

    def has_error(self, *checks: str, camera: str = "") -> bool:
        """Whether an error was found by one of the checks (default any).

        Args:
            checks: names; none for all.
            camera: only errors of this camera or of the whole recording; empty for any.
        """
        return any(
            entry.severity is Severity.ERROR
            and (not checks or entry.check in checks)
            and (not camera or entry.camera in ("", camera))
            for entry in self.entries
        )


Check = Callable[["Observation", Findings], Iterable[Finding]]
"""Looks at an observation; the second argument is what the checks before it found."""
