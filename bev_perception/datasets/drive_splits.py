# SPDX-License-Identifier: Apache-2.0
"""Which drives are for training and which for judging: whole drives, never frames."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

from bev_perception.errors import ConfigurationError

SPLIT_NAMES = ("train", "validation", "test")
DEFAULT_SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def parse_shares(text: str) -> dict[str, float]:
    """``train=0.8,validation=0.1,test=0.1`` as shares.

    Raises:
        ConfigurationError: an unknown or doubled name, a share that is no number, or shares that
            do not sum to one.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            share = float(value)
        except ValueError:
            share = math.nan
        if name.strip() not in SPLIT_NAMES or name.strip() in shares or not 0.0 <= share <= 1.0:
            raise ConfigurationError(
                f"split must be like train=0.8,validation=0.1,test=0.1 with names among "
                f"{', '.join(SPLIT_NAMES)}, once each, got {text!r}"
            )
        shares[name.strip()] = share
    if abs(sum(shares.values()) - 1.0) > 1e-6:
        raise ConfigurationError(f"shares of split must sum to 1, got {text!r}")
    return shares


def assign_splits(drives: Sequence[str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of every drive: a draw by seed and name, shares met as nearly as drives allow.

    Where there are drives enough, every split with a share gets one at least. The same names,
    shares and seed give the same splits on every machine.
    """
    order = sorted(drives, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    wanted = {name: share * len(order) for name, share in shares.items() if share > 0.0}
    counts = {name: math.floor(value) for name, value in wanted.items()}
    while sum(counts.values()) < len(order):
        neediest = max(wanted, key=lambda name: (wanted[name] - counts[name], wanted[name]))
        counts[neediest] += 1
    for name in counts:
        largest = max(counts, key=lambda other: counts[other])
        if counts[name] == 0 and counts[largest] > 1:
            counts[name] += 1
            counts[largest] -= 1
    assigned: dict[str, str] = {}
    for name, count in counts.items():
        taken = len(assigned)
        assigned.update(dict.fromkeys(order[taken : taken + count], name))
    return assigned
