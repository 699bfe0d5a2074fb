# SPDX-License-Identifier: Apache-2.0
"""``bev extract`` from bags to a data set that evaluation takes, and its errors in one line."""

from __future__ import annotations

import json

import pytest


def test_bags_become_a_data_set_that_can_be_judged(bev, make_bag, weights, tmp_path):
    bag, out = make_bag(), tmp_path / "set"
    result = bev("extract", bag, "--out", out, "--licence", "CC0", "--split", "test=1", "--jobs", 1)
    assert result.code == 0, result.err
    assert "3 sets of 1 drives (0 refused)" in result.out
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["licence"] == "CC0"
    assert manifest["splits"] == {"test": ["bag"]}
    card = (out / "card.md").read_text()
    assert "Licence of the data: CC0" in card
    assert "| car | 3 | 3 |" in card
    assert "Verdicts" in (out / "report.html").read_text()
    scores = tmp_path / "scores"
    judged = bev("evaluate", f"{out}:test", "--weights", weights, "--out", scores)
    assert judged.code == 0, judged.err
    assert "3 labelled sets" in judged.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--split", "train=0.5"], "shares of split must sum to 1"),
        (["--jpeg-quality", "101"], "jpeg_quality must be in 1 to 100, got 101"),
        (["--min-cameras", "3"], "min_cameras is 3, but it has 2 cameras"),
        (["--jobs", "0"], "--jobs must be at least 1"),
        (["--ray"], "Ray is asked for but not installed"),
        (["--rig", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_bad_options_are_told_in_one_line(bev, make_bag, tmp_path, monkeypatch, options, words):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    result = bev("extract", make_bag(), "--out", tmp_path / "out", "--jobs", 1, *options)
    assert result.code == 2
    assert words in result.error
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_bag_without_labels_is_refused(bev, make_bag, tmp_path):
    result = bev("extract", make_bag(labels=False), "--out", tmp_path / "out")
    assert result.code == 2
    assert "none of 1 drives is fit; bag: no labels at all" in result.error


def test_an_unknown_split_and_damaged_shards_are_told_in_one_line(bev, make_bag, weights, tmp_path):
    out = tmp_path / "set"
    assert bev("extract", make_bag(), "--out", out).code == 0
    arguments = ("--weights", weights, "--out", tmp_path / "scores")
    result = bev("evaluate", f"{out}:validation", *arguments)
    assert result.code == 2
    assert "has no split 'validation'; its splits are train" in result.error
    (shard,) = out.glob("drives/*/*.tar")
    shard.write_bytes(shard.read_bytes()[:4000])
    result = bev("evaluate", out, *arguments)
    assert result.code == 2
    assert "it was cut off" in result.error
