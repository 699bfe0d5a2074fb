# SPDX-License-Identifier: Apache-2.0
"""Which town seeds belong to training, validation and test: disjoint by construction."""

from __future__ import annotations

from bev_perception.errors import ConfigurationError

SPLITS: dict[str, range] = {
    "train": range(0, 10_000),
    "validation": range(10_000, 11_000),
    "test": range(11_000, 12_000),
}
"""Town seeds by split."""


def split_of(seed: int) -> str:
    """The split that a town seed belongs to.

    Raises:
        ConfigurationError: the seed is in none of them.
    """
    for name, seeds in SPLITS.items():
        if seed in seeds:
            return name
    ranges = ", ".join(f"{name} {seeds.start}..{seeds.stop - 1}" for name, seeds in SPLITS.items())
    raise ConfigurationError(f"town seed {seed} belongs to no split; use one of {ranges}")
