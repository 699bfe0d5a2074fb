# SPDX-License-Identifier: Apache-2.0
"""Trainings of a benchmark: their configurations are read by several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from programs import load_benchmark

RUNS = 24


def test_a_recipe_named_from_here_is_found_by_several_threads_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = load_benchmark("training_runs.py")
    monkeypatch.chdir(Path(__file__).resolve().parents[1])
    recipe = ("--labelled", tmp_path, "--config", "config/recipes/label_curve.yaml")
    runs = [program.TrainingRun(tmp_path, (*recipe, "--seed", seed)) for seed in range(RUNS)]
    with ThreadPoolExecutor(4) as pool:
        seeds = [config.seed for config in pool.map(lambda run: run.config, runs)]
    assert seeds == list(range(RUNS))
