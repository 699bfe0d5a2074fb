# SPDX-License-Identifier: Apache-2.0
"""Figures that outlive networks: nothing lost, nothing mixed with other settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import ModuleType

import pytest
from programs import load_benchmark


@dataclass(frozen=True)
class Network:
    lift: str
    seed: int = 0


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """The module, which is no part of the package."""
    return load_benchmark("kept_figures.py")


@pytest.fixture
def figures(module, tmp_path):
    """figures(**settings): of one file."""
    return lambda **settings: module.KeptFigures(Network, settings, tmp_path / "new" / "kept.json")


def test_every_network_is_kept_as_soon_as_it_is_there(figures):
    kept, finished = figures(steps=7), {}
    networks = [Network("depth"), Network("ground"), Network("depth", 1)]

    def make_all(missing, done):
        assert missing == networks
        for network in missing[:2]:
            finished[network] = {"iou": 0.25, "known": None}
            done(network)
            assert network in read_again().rows
        raise KeyboardInterrupt

    def read_again():
        again = figures(steps=7)
        again.read()
        return again

    with pytest.raises(KeyboardInterrupt):
        kept.gather(networks, finished.get, make_all)
    assert read_again().rows == finished
    finished.clear()
    assert read_again().gather(networks, finished.get, None) == networks[:2]


def test_what_another_program_has_kept_meanwhile_stays(figures):
    ours, theirs = figures(steps=7), figures(steps=7)
    ours.read()
    theirs.keep(Network("depth"), {"iou": 0.5})
    ours.keep(Network("ground"), {"iou": 0.25})
    theirs.read()
    assert theirs.rows == {Network("depth"): {"iou": 0.5}, Network("ground"): {"iou": 0.25}}


def test_a_network_that_is_there_counts_more_than_the_file(figures):
    figures(steps=7).keep(Network("depth"), {"iou": 0.5})
    kept = figures(steps=7)
    assert kept.gather([Network("depth")], lambda _: {"iou": 0.75}, None) == [Network("depth")]
    assert json.loads(kept.path.read_text())["networks"][0]["iou"] == 0.75


def test_figures_of_other_settings_are_refused_and_none_are_told(figures):
    figures(steps=7).keep(Network("depth"), {"iou": 0.5})
    with pytest.raises(SystemExit, match=r"is of other settings: .*7.* now .*8"):
        figures(steps=8).read()
    with pytest.raises(SystemExit, match="no network is finished"):
        figures(steps=7).gather([Network("ground")], lambda _: None, None)
