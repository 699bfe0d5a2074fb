# SPDX-License-Identifier: Apache-2.0
"""A soak's judge: growth is found, bursts and a busier machine are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from programs import load_program

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "soak_verdict.py"
WINDOWS, WINDOW_S = 360, 10.0


@pytest.fixture(scope="module")
def soak_verdict() -> ModuleType:
    """The module, which is no part of the package."""
    return load_program(BENCHMARK)


Quantity = Callable[[np.ndarray], np.ndarray]


def hour(
    memory: Quantity = lambda share: 600.0 + 0.0 * share,
    latency: Quantity = lambda share: 60.0 + 0.0 * share,
    waiting: Quantity = lambda share: 30.0 + 0.0 * share,
    files: Quantity = lambda share: 23.0 + 0.0 * share,
    tables: Quantity = lambda share: 0.0 * share,
) -> list[dict[str, Any]]:
    """Windows of an hour: quantities by the share of it that has passed, and noise."""
    random = np.random.default_rng(0)
    share = (np.arange(WINDOWS) + 1) / WINDOWS
    noise = random.normal(size=(3, WINDOWS))
    return [
        {
            "t": WINDOW_S * (index + 1),
            "rss_mb": 700.0,
            "pss_mb": 650.0,
            "own_mb": float(memory(share)[index] + 2.0 * noise[0, index]),
            "tables_mb": float(tables(share)[index]),
            "threads": 24,
            "files": int(files(share)[index]),
            "waiting_percent": float(waiting(share)[index] + noise[1, index]),
            "latency_ms": {"total": [float(latency(share)[index] + noise[2, index]), 0.0, 0.0, 0]},
        }
        for index in range(WINDOWS)
    ]


def test_an_even_hour_is_well(soak_verdict: ModuleType) -> None:
    assert soak_verdict.verdict(hour())["ok"]


def test_fifteen_megabytes_in_an_hour_are_found(soak_verdict: ModuleType) -> None:
    found = soak_verdict.verdict(hour(memory=lambda share: 600.0 + 15.0 * share))
    assert not found["ok"]
    assert not found["memory_mb"]["ok"]
    assert found["memory_mb"]["per_hour"] == pytest.approx(15.0, abs=1.0)
    assert found["latency_ms"]["ok"]


def test_tap_tables_may_fill_their_limit_but_hide_no_growth(soak_verdict: ModuleType) -> None:
    def tables(share: np.ndarray) -> np.ndarray:
        return 120.0 * share

    filling = soak_verdict.verdict(hour(lambda share: 500.0 + tables(share), tables=tables))
    assert filling["ok"]
    assert filling["tables_mb"] == pytest.approx(120.0)
    leaking = hour(lambda share: 500.0 + tables(share) + 15.0 * share, tables=tables)
    assert not soak_verdict.verdict(leaking)["ok"]
    beyond = hour(lambda share: 500.0 + 2.0 * tables(share), tables=lambda s: 2.0 * tables(s))
    assert not soak_verdict.verdict(beyond)["ok"]


def test_warming_up_and_bursts_are_no_growth(soak_verdict: ModuleType) -> None:
    def memory(share: np.ndarray) -> np.ndarray:
        warm = 600.0 + 150.0 * np.minimum(share / 0.2, 1.0)
        burst = 200.0 * (np.arange(WINDOWS) % 9 == 8) * (share > 0.5)
        return np.asarray(warm + burst)

    assert soak_verdict.verdict(hour(memory=memory))["ok"]


def test_latency_that_grows_by_itself_is_found_and_that_of_a_busy_machine_is_not(
    soak_verdict: ModuleType,
) -> None:
    def busier(share: np.ndarray) -> np.ndarray:
        return np.asarray(20.0 + 60.0 * share + 15.0 * np.sin(40.0 * share))

    grown = soak_verdict.verdict(hour(latency=lambda share: 60.0 + 30.0 * share))
    assert not grown["latency_ms"]["ok"]
    loaded = hour(latency=lambda share: 50.0 + 0.5 * busier(share), waiting=busier)
    assert soak_verdict.verdict(loaded)["latency_ms"]["ok"]


def test_files_that_stay_open_are_found(soak_verdict: ModuleType) -> None:
    assert not soak_verdict.verdict(hour(files=lambda share: 23.0 + 12.0 * share))["files"]["ok"]


def test_a_run_without_grids_is_not_judged(soak_verdict: ModuleType) -> None:
    windows = [{**window, "latency_ms": {}} for window in hour()]
    with pytest.raises(ValueError, match="0 windows with grids"):
        soak_verdict.verdict(windows)
