# SPDX-License-Identifier: Apache-2.0
"""Readings of a part of the data, ranked, and what that says about the declared one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bev_perception.samples.declaration import Declaration
from bev_perception.samples.evidence import Check

PARTS: dict[str, tuple[str, ...]] = {
    "cameras": ("extrinsics", "camera_axes", "ego_axes", "length_unit"),
    "ego poses": ("pose", "world_axes"),
    "boxes": ("box_frame", "box_axes", "box_sizes", "box_order", "box_origin", "box_angles"),
}
"""Which conventions are told by which data."""

CLEARLY = 0.1
"""A reading that scores this much more than the declared one refuses it."""

FITS = 0.4
"""A reading that scores less is not proposed: that nothing refuses it is not enough."""

FLOOR = 0.02
"""Counted for a check that fails entirely, so that the others still rank."""


@dataclass(frozen=True)
class Reading:
    """One way to read a part of the data.

    Attributes:
        declaration: with this reading's conventions.
        part: key of PARTS.
        checks: what speaks for and against it.
        trouble: why the data cannot be read so at all, or empty.
    """

    declaration: Declaration
    part: str
    checks: tuple[Check, ...] = ()
    trouble: str = ""

    @property
    def score(self) -> float:
        """0 (impossible) to 1."""
        if self.trouble:
            return 0.0
        if not self.checks:
            return 0.5
        logs = np.log([max(check.value, FLOOR) for check in self.checks])
        return float(np.exp(np.average(logs, weights=[check.weight for check in self.checks])))

    @property
    def stands(self) -> bool:
        """Whether no check refuses it."""
        return not self.trouble and not any(check.fails for check in self.checks)

    @property
    def words(self) -> str:
        """``extrinsics ego_T_camera, camera_axes optical ...``."""
        names = PARTS[self.part]
        return ", ".join(f"{name} {getattr(self.declaration, name)}" for name in names)

    def differences(self, other: Declaration) -> dict[str, str]:
        """Conventions of this part in which another declaration differs, as they are here."""
        return {
            name: getattr(self.declaration, name)
            for name in PARTS[self.part]
            if getattr(self.declaration, name) != getattr(other, name)
        }

    @property
    def against(self) -> list[str]:
        """What refuses it, one phrase each."""
        failed = [f"{check.name}: {check.words}" for check in self.checks if check.fails]
        return [self.trouble] if self.trouble else failed


@dataclass(frozen=True)
class Finding:
    """What the data say about one part.

    Attributes:
        part: key of PARTS.
        ranking: readings, best first.
        declared: the declared reading, None where nothing was declared.
        notes: sentences that ask for attention, but refuse nothing.
    """

    part: str
    ranking: tuple[Reading, ...]
    declared: Reading | None
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Reading:
        """The reading that fits best; the declared one among equals."""
        return self.ranking[0]

    @property
    def equals(self) -> tuple[Reading, ...]:
        """Other readings that nothing clearly tells from the best one."""
        limit = self.best.score - CLEARLY
        return tuple(r for r in self.ranking[1:] if r.stands and r.score >= limit)

    @property
    def contradiction(self) -> str:
        """Why the declared reading is refused; empty when it stands."""
        if self.declared is None:
            return ""
        better = self.best.score - self.declared.score
        if self.declared.stands and (better <= CLEARLY or not self.best.stands):
            return ""
        told = f"{self.part}: the declaration says {self.declared.words}"
        why = "; ".join(self.declared.against) or (
            f"it fits with {self.declared.score:.2f}, another reading with {self.best.score:.2f}: "
            + "; ".join(_gains(self.declared, self.best))
        )
        fits = self.best.stands and self.best.score >= FITS
        if fits and self.best.differences(self.declared.declaration):
            changes = self.best.differences(self.declared.declaration)
            advice = ", ".join(f"{name}: {value}" for name, value in changes.items())
            return f"{told}, but {why}. What fits ({self.best.score:.2f}): {advice}"
        return f"{told}, but {why}. No other known reading fits either"


def _gains(declared: Reading, best: Reading) -> list[str]:
    """Checks in which the better reading is much better."""
    values = {check.name: check for check in declared.checks}
    return [
        f"{check.name} {values[check.name].value:.2f} against {check.value:.2f}"
        for check in best.checks
        if check.name in values and check.value - values[check.name].value > 0.1
    ]
