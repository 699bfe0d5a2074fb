# SPDX-License-Identifier: Apache-2.0
"""Progress bars on stderr, so that stdout stays for results."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], description: str, total: int | None = None, unit: str = "set"
) -> Iterator[Item]:
    """The items, with a bar on stderr while they are worked on."""
    from tqdm import tqdm

    with tqdm(items, description, total, unit=unit, file=sys.stderr, dynamic_ncols=True) as bar:
        yield from bar
