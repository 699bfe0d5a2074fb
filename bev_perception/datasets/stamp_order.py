# SPDX-License-Identifier: Apache-2.0
"""Stamps that jump: single ones that are wrong, and clocks that were set back."""

from __future__ import annotations

from collections.abc import Sequence


def wrong_stamps(stamps_ns: Sequence[int]) -> list[int]:
    """Indices of single stamps out of line: without them their neighbours are in order.

    Args:
        stamps_ns: of one camera in the order of recording.
    """
    wrong: list[int] = []
    before: int | None = None
    for index, stamp in enumerate(stamps_ns):
        after = stamps_ns[index + 1] if index + 1 < len(stamps_ns) else None
        if after is not None and stamp > after and (before is None or after > before):
            beyond = stamps_ns[index + 2] if index + 2 < len(stamps_ns) else None
            if beyond is None or stamp > beyond:  # ahead of all that follow, not before a late one
                wrong.append(index)
                continue
        if before is not None and stamp < before and (after is None or after > before):
            wrong.append(index)
            continue
        before = stamp
    return wrong


def doubled_spans(stamps_ns: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) stamp of every span of time that stamps ran through twice."""
    spans: list[tuple[int, int]] = []
    newest: int | None = None
    for stamp in stamps_ns:
        if newest is not None and stamp < newest:
            if spans and spans[-1][1] == newest:
                spans[-1] = (min(spans[-1][0], stamp), newest)
            else:
                spans.append((stamp, newest))
        newest = stamp if newest is None else max(newest, stamp)
    return spans
