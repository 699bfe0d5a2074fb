# SPDX-License-Identifier: Apache-2.0
"""The label curve: what methods go on from, and figures that outlive their networks."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from programs import load_benchmark


@pytest.fixture(scope="module")
def curve() -> ModuleType:
    """The program, which is no part of the package."""
    return load_benchmark("label_fraction.py")


def options_of(curve, monkeypatch, tmp_path, *arguments):
    monkeypatch.setattr(sys, "argv", ["", "--train", "a", "--test", "b", *arguments])
    options = curve.parsed()
    options.out = tmp_path
    return options


def test_every_method_goes_on_from_the_network_of_the_same_labels(curve, monkeypatch, tmp_path):
    options = options_of(curve, monkeypatch, tmp_path, "--steps", "7", "--more-steps", "5")
    before = curve.training(curve.Choice(curve.BEFORE, 10.0, 2), options)
    assert "--init_weights" not in before.arguments
    for method in curve.METHODS:
        run = curve.training(curve.Choice(method, 10.0, 2), options)
        given = dict(zip(run.arguments[::2], run.arguments[1::2]))
        assert given["--init_weights"] == before.weights
        assert given["--semi_supervised.method"] == method
        assert (given["--seed"], given["--data.labelled_fraction"]) == (2, 0.1)
        assert given["--max_steps"] == 5
    of_sets = curve.training(curve.Choice("mixup", 10.0, 2, "set"), options)
    given = dict(zip(of_sets.arguments[::2], of_sets.arguments[1::2]))
    assert given["--data.labelled_unit"] == "set"
    assert given["--init_weights"].parent.name == "before_10_2_set"
    assert of_sets.folder.name == "mixup_10_2_set"
    alone = options_of(curve, monkeypatch, tmp_path, "--steps", "7")
    run = curve.training(curve.Choice("fixmatch", 10.0, 2), alone)
    assert "--init_weights" not in run.arguments


def test_figures_of_another_day_are_taken_in_and_those_of_other_settings_refused(curve, tmp_path):
    path = tmp_path / "new" / "results.json"
    first = curve.Results(curve.Choice, {"steps": 7})
    first.rows[curve.Choice("none", 10.0, 0)] = {"iou": 0.25}
    first.write(path)
    second = curve.Results(curve.Choice, {"steps": 7})
    second.rows[curve.Choice("none", 10.0, 1)] = {"iou": 0.75}
    second.read(path)
    assert second.of("none", 10.0) == [0.25, 0.75]
    (row,) = [line for line in curve.table(second, [10.0, 100.0]) if line.startswith("| labels")]
    assert row == "| labels alone | 0.500 ± 0.250 |  |"
    second.rows[curve.Choice("none", 10.0, 1, "set")] = {"iou": 0.25}
    second.rows[curve.Choice("none", 100.0, 1)] = {"iou": 1.0}
    rows = [line for line in curve.table(second, [10.0, 100.0]) if line.startswith("| labels")]
    assert rows[1] == "| labels alone, sets of all drives | 0.250 (25%) | 1.000 (100%) |"
    with pytest.raises(SystemExit, match=r"is of other settings: .*7.* now .*8"):
        curve.Results(curve.Choice, {"steps": 8}).read(path)
