# SPDX-License-Identifier: Apache-2.0
"""The table of lifts: what is trained, and figures in the right columns."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import zip_longest
from types import ModuleType

import pytest
from programs import load_benchmark
from tiny_network import CONFIG

from bev_perception.geometry import BevGrid
from bev_perception.model import Segnet
from bev_perception.model.lift_config import LIFTS
from bev_perception.model.memory_config import MEMORIES
from bev_perception.resources import config_path


@pytest.fixture(scope="module")
def lift_table() -> ModuleType:
    """The program, which is no part of the package."""
    return load_benchmark("lift_table.py")


def test_every_lift_and_every_memory_can_be_trained(lift_table, monkeypatch):
    recipe = str(config_path("recipes/label_fraction.yaml"))
    words = ["", "--train", "a", "--test", "b", "--recipe", recipe, "--steps", "7"]
    monkeypatch.setattr(sys, "argv", words)
    options = lift_table.parsed()
    memories = (*MEMORIES, lift_table.WINDOWS)
    for lift, memory in zip_longest(LIFTS, memories, fillvalue="none"):
        run = lift_table.training(lift_table.Choice(lift, memory), options)
        model, kind = run.config.model, "none" if memory == lift_table.WINDOWS else memory
        assert (model.lift, model.memory.kind, run.config.max_steps) == (lift, kind, 7)
        assert run.config.sequences.history == (0 if memory == "none" else 3)
    extras = {
        extra: lift_table.training(lift_table.Choice("depth", "none", extra), options).config
        for extra in lift_table.EXTRAS
    }
    plain = extras.pop("nothing")
    taught, lidar, turned = extras["taught_depths"], extras["lidar"], extras["virtual_cameras"]
    assert plain.model == taught.model
    assert (plain.losses.depth_weight, taught.losses.depth_weight) == (0.0, 1.0)
    assert (plain.model.sensor, lidar.model.sensor) == ("none", "lidar")
    words = ("a", "--config", config_path("recipes/tiny_virtual.yaml"))
    shipped = load_benchmark("training_runs.py").train_config(words)
    assert turned.model.virtual_cameras == shipped.model.virtual_cameras != ()


def test_extras_that_a_lift_cannot_have_are_left_out(lift_table):
    choices = [
        lift_table.Choice(lift, "none", extra) for lift in LIFTS for extra in lift_table.EXTRAS
    ]
    left_out = {(choice.lift, choice.extra) for choice in choices if not choice.can_be}
    untaught = {(lift, "taught_depths") for lift in LIFTS if lift != "depth"}
    assert left_out == {("ground", "lidar"), ("ground_late", "lidar"), *untaught}


def test_figures_are_in_their_columns(lift_table):
    choice = lift_table.Choice("bilinear", "none", "virtual_cameras")
    names = (*lift_table.FAR, *lift_table.FURTHER, "moving_speed")
    figures = {name: number / 100.0 for number, name in enumerate(names)}
    figures |= {"hidden_iou": None, "hidden_objects": 9.0}
    models = {choice: Segnet(replace(CONFIG, grid=BevGrid.centered(50.0, 1.0)))}
    head, _, row, _, note = lift_table.table({choice: figures}, models, {choice: 12.34})
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert (cells["memory"], cells["with"], cells["ms"]) == ("none", "virtual cameras", "12.3")
    assert cells["IoU ±25 m"] == "0.000"
    assert cells["IoU ±50 m"] == "0.010"
    assert cells["35-50 m"] == "0.040"
    assert cells["hidden known"] == "0.050"
    assert cells["hidden IoU"] == "-"
    assert cells["pitch 3° told"] == "0.080"
    assert cells["velocity error, moving"] == "0.070 of 0.120"
    assert cells["worst camera lost |"] == "0.110 |"
    assert note == "9 times a vehicle was hidden in a set"
