# SPDX-License-Identifier: Apache-2.0
"""Runs the checks over an observation and keeps what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bev_perception.doctor.finding import Check, Finding, Findings, Severity
from bev_perception.doctor.recording import Observation


@dataclass(frozen=True)
class NamedCheck:
    """A check as it is listed.

    Attributes:
        name: of its findings, lower case with dashes.
        looks_at: what it looks at, a few words.
        run: does it.
    """

    name: str
    looks_at: str
    run: Check


@dataclass(frozen=True, eq=False)
class Examination:
    """All that was found.

    Attributes:
        observation: what was looked at.
        checks: that ran, in order.
        findings: the worst first, those of the whole recording before those of cameras.
    """

    observation: Observation
    checks: tuple[NamedCheck, ...]
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings of a severity there are."""
        return sum(entry.severity is severity for entry in self.findings)

    def verdict(self, check: str) -> Severity:
        """The worst that a check found; OK for nothing."""
        found = [entry.severity for entry in self.findings if entry.check == check]
        return max(found, key=lambda severity: severity.rank, default=Severity.OK)

    def is_healthy(self, strict: bool = False) -> bool:
        """Whether nothing is wrong: no errors, with strict no warnings either."""
        worst = Severity.WARNING if strict else Severity.ERROR
        return all(entry.severity.rank < worst.rank for entry in self.findings)


def examine(observation: Observation, checks: Sequence[NamedCheck]) -> Examination:
    """Runs checks in order; each is told what those before it found."""
    found: list[Finding] = []
    for check in checks:
        found += check.run(observation, Findings(tuple(found)))
    ordered = sorted(found, key=lambda entry: (-entry.severity.rank, bool(entry.camera)))
    return Examination(observation, tuple(checks), tuple(ordered))
