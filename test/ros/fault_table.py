# SPDX-License-Identifier: Apache-2.0
"""Outcomes of faults as a table of a document."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fault_processes import ProcessOutcome
from fault_trials import NOTHING, Outcome

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
_HEAD = """\
| fault | named as | after ms | grids meanwhile | back after ms | well after ms |
|---|---|---|---|---|---|"""
_LEVELS = ("OK", "WARN", "ERROR", "STALE")


def table(outcomes: Sequence[Outcome], processes: Sequence[ProcessOutcome]) -> str:
    """Markdown."""
    rows = [_row(outcome) for outcome in outcomes]
    rows += [
        f"| {entry.text} | {entry.named} | {_ms(entry.named_ms)} | {entry.meanwhile} | "
        f"{_ms(entry.back_ms)} | - |"
        for entry in processes
    ]
    return "\n".join([_HEAD, *rows])


def between_marks(document: str, text: str) -> str:
    """The document with another text between BEGIN and END.

    Raises:
        ValueError: it lacks the marks.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def merged(document: str, text: str) -> str:
    """The document with some rows of another run: in the place of the same faults, or at the end.

    Raises:
        ValueError: it lacks the marks.
    """
    before, begin, rest = document.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} and {END}")
    lines = old.strip("\n").split("\n")
    for row in text.split("\n")[2:]:
        if not row.startswith("| "):
            continue
        fault = row.split(" | ")[0]
        places = [index for index, line in enumerate(lines) if line.split(" | ")[0] == fault]
        if places:
            lines[places[0]] = row
        else:
            last = max(index for index, line in enumerate(lines) if line.startswith("|"))
            lines.insert(last + 1, row)
    joined = "\n".join(lines)
    return f"{before}{begin}\n{joined}\n{end}{after}"


def _row(outcome: Outcome) -> str:
    trial = outcome.trial
    camera = trial.part.removeprefix("camera ") if trial.part.startswith("camera ") else ""
    subject = f"{camera}: {trial.text}" if camera and trial.meanwhile != NOTHING else trial.text
    named = f"`{trial.part}` {_LEVELS[outcome.level]}: {_words(outcome)}"
    return (
        f"| {subject} | {named} | {_ms(outcome.named_ms)} | {_meanwhile(outcome)} | "
        f"{_ms(outcome.back_ms)} | {_ms(outcome.clear_ms)} |"
    )


def _words(outcome: Outcome) -> str:
    """The beginning of the message, without what the reader knows already."""
    text = outcome.message.removeprefix(f"{outcome.trial.part}: ").replace("|", "/")
    pieces = [piece.strip() for piece in text.split(";")]
    text = next((piece for piece in pieces if re.search(outcome.trial.says, piece)), pieces[0])
    return text if len(text) <= 90 else text[:87].rsplit(" ", 1)[0] + " ..."


def _meanwhile(outcome: Outcome) -> str:
    if not outcome.rate_hz:
        return "none"
    if outcome.with_fewer == 0:
        return f"{outcome.rate_hz:.0f}/s of all cameras"
    share = "" if outcome.with_fewer > 0.95 else f"{100 * outcome.with_fewer:.0f} % "
    return f"{outcome.rate_hz:.0f}/s, {share}without the camera"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
