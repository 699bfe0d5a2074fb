# SPDX-License-Identifier: Apache-2.0
"""Rows of an ablation: each trains, trains something else, and shares data and steps with all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from programs import load_benchmark

from bev_perception.errors import ConfigurationError
from bev_perception.resources import config_path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def ablation_changes() -> ModuleType:
    """The module, which is no part of the package."""
    return load_benchmark("ablation_changes.py")


def test_the_small_ablation_changes_what_it_names(ablation_changes):
    ablation = ablation_changes.load_ablation(BENCHMARKS / "ablation_small.yaml")
    changes = {f"{change.kind}: {change.name}": change for change in ablation.changes[1:]}
    recipe = ablation.config(ablation.changes[0])
    flat = ablation.config(changes["heights: 0 m"])
    assert flat.model == replace(recipe.model, heights_m=(0.0,))
    assert replace(flat, model=recipe.model) == recipe
    assert ablation.config(changes["averaged weights: none"]).optimizer.ema_decay is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("{a: {optimizer.ema_decay: 2.0}}", "'losses', 'a': .*ema_decay must lie in 0 to 1"),
        ("{a: {losses.focus: 1.0}}", "'losses', 'a': .*losses.focus"),
        ("{a: {max_steps: 9}}", "changes 'max_steps', but all rows share"),
        ("{a: {losses.dice: 0.0}}", "trains the same as 'the recipe as it is'"),
        ("{a: {losses.dice: 1.0}, b: {losses.dice: 1.0}}", "'b' trains the same as 'a'"),
        ("{a: }", "names no option of bev train, got None"),
    ],
)
def test_a_row_that_compares_nothing_is_refused_by_name(ablation_changes, tmp_path, rows, said):
    path = tmp_path / "rows.yaml"
    recipe = config_path("recipes/label_fraction.yaml")
    path.write_text(f"recipe: {recipe}\nchanges: {{losses: {rows}}}\n")
    with pytest.raises(ConfigurationError, match=said) as caught:
        ablation_changes.load_ablation(path)
    assert str(path) in str(caught.value)
