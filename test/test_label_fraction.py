# SPDX-License-Identifier: Apache-2.0
"""The label curve: what methods go on from, and figures that outlive their networks."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from programs import load_benchmark

from bev_perception.model import Segnet, save_weights
from bev_perception.resources import config_path


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
    alone = options_of(curve, monkeypatch, tmp_path, "--steps", "7")
    run = curve.training(curve.Choice("fixmatch", 10.0, 2), alone)
    assert "--init_weights" not in run.arguments


def test_sets_of_all_drives_are_networks_of_their_own(curve, monkeypatch, tmp_path):
    options = options_of(curve, monkeypatch, tmp_path, "--steps", "7", "--more-steps", "5")
    run = curve.training(curve.Choice("mixup", 10.0, 2, "set"), options)
    given = dict(zip(run.arguments[::2], run.arguments[1::2]))
    assert given["--data.labelled_unit"] == "set"
    assert given["--init_weights"].parent.name == "before_10_2_set"
    assert run.folder.name == "mixup_10_2_set"


def test_a_network_of_other_settings_is_refused(curve, monkeypatch, tmp_path):
    recipe = str(config_path("recipes/label_curve.yaml"))
    options = options_of(curve, monkeypatch, tmp_path, "--steps", "7", "--recipe", recipe)
    run = curve.training(curve.Choice("none", 10.0, 0), options)
    run.folder.mkdir()
    options.steps = 8
    other = curve.training(curve.Choice("none", 10.0, 0), options)
    model = Segnet(run.config.model)
    save_weights(run.weights, model, {"recipe": other.config.to_dict()})
    assert other.checked_metadata()["recipe"]["max_steps"] == 8
    with pytest.raises(SystemExit, match="max_steps 8 there, 7 now"):
        run.checked_metadata()


def test_the_table_has_means_and_shares_of_all_labels_iou(curve, tmp_path):
    results = curve.Results(curve.Choice, {"steps": 7}, tmp_path / "results.json")
    for seed, iou in enumerate((0.25, 0.75)):
        results.rows[curve.Choice("none", 10.0, seed)] = {"iou": iou}
    rows = list(curve.table(results, [10.0, 100.0]))
    assert rows[2:] == ["| labels alone | 0.500 ± 0.250 |  |"]
    results.rows[curve.Choice("none", 10.0, 1, "set")] = {"iou": 0.25}
    results.rows[curve.Choice("none", 100.0, 0)] = {"iou": 0.5}
    results.rows[curve.Choice("none", 100.0, 1)] = {"iou": 1.0}
    rows = list(curve.table(results, [10.0, 100.0]))
    assert rows[2] == "| labels alone | 0.500 ± 0.250 (62%) | 0.750 ± 0.250 (100%) |"
    alone = "| labels alone, sets of all drives | 0.250 (25%, 1 of 2 seeds) |"
    assert rows[3].startswith(alone)
