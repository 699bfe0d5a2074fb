# SPDX-License-Identifier: Apache-2.0
"""Which drives or sets keep their labels when only a share may."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_boxes import MODEL, a_config

from bev_perception.datasets.preparation import ExtractionSettings, prepare_bags
from bev_perception.errors import ConfigurationError
from bev_perception.model import load_weights
from bev_perception.training import DataConfig
from bev_perception.training.assembly import make_data
from bev_perception.training.semi_supervised.config import SemiSupervisedConfig
from bev_perception.training.semi_supervised.label_split import labelled_part, labelled_sets
from bev_perception.training.sequences.config import SequenceConfig
from bev_perception.training.splits import prepared_splits
from bev_perception.training.train import train


@pytest.fixture(scope="module")
def prepared(bags, cache):
    return prepare_bags(bags, cache, ExtractionSettings(MODEL.image_size), show_progress=False)


def test_a_larger_share_of_labels_holds_the_smaller_one(tmp_path):
    drives = [tmp_path / str(number) for number in range(40)]
    few, more = (labelled_part(drives, fraction, seed=2) for fraction in (0.05, 0.3))
    assert len(few) == 2
    assert len(more) == 12
    assert set(few) < set(more)
    assert few != labelled_part(drives, 0.05, seed=3)
    assert len(labelled_part(drives, 0.001, seed=0)) == 1
    assert labelled_part(drives, 1.0, seed=0) == drives


@pytest.mark.parametrize("seed", range(5))
def test_sets_with_labels_are_evenly_far_apart(seed):
    few, more = (labelled_sets(2400, fraction, seed) for fraction in (0.05, 0.1))
    assert (len(few), len(more)) == (120, 240)
    assert set(few) < set(more)
    assert np.max(np.diff(few)) <= 40
    assert np.max(np.diff(more)) <= 20
    assert np.min(np.diff(more)) >= 4
    assert not np.array_equal(more, labelled_sets(2400, 0.1, seed + 5))
    assert len(labelled_sets(2400, 1e-6, seed)) == 1
    np.testing.assert_array_equal(labelled_sets(7, 1.0, seed), np.arange(7))


def of_both_bags(tmp_path, bags, cache, fraction, seed=0, **changes):
    """A run whose labels are those of a share of five sets, three of one bag, two of another."""
    config = a_config(tmp_path, bags, cache, seed=seed, **changes)
    data = replace(config.data, train=tuple(bags), validation=())
    return replace(config, data=replace(data, labelled_fraction=fraction, labelled_unit="set"))


@pytest.mark.parametrize("fraction", [0.2, 0.4, 1.0])
def test_a_share_of_the_sets_of_all_drives_is_learned_from(
    tmp_path, bags, cache, prepared, fraction
):
    everything = [bag.sample(index).images for bag in prepared for index in range(len(bag))]
    reached = set()
    for seed in range(6):
        config = of_both_bags(tmp_path, bags, cache, fraction, seed)
        splits = prepared_splits(config, show_progress=False)
        dataset = make_data(splits, config).train_dataloader().dataset
        kept = labelled_sets(5, fraction, seed)
        assert len(dataset) == len(kept) == round(5 * fraction)
        for index, number in enumerate(kept):
            np.testing.assert_array_equal(dataset.sample(index).images, everything[number])
        names = [bag.description["bag"] for bag in splits.train]
        assert names == [
            name for name, its in (("one", {0, 1, 2}), ("two", {3, 4})) if its & {*kept}
        ]
        reached |= {*map(int, kept)}
    assert reached == set(range(5))


def test_the_rest_of_a_drive_teaches_without_its_labels_and_a_run_goes_on(tmp_path, bags, cache):
    config = of_both_bags(tmp_path, bags, cache, 0.2, max_steps=2)
    config = replace(config, semi_supervised=SemiSupervisedConfig("fixmatch", ramp_steps=1))
    first = train(replace(config, max_minutes=1e-6), show_progress=False)
    assert first.steps == 1
    other = replace(config, data=replace(config.data, labelled_unit="drive"), resume=True)
    with pytest.raises(ConfigurationError, match=r"data\.labelled_unit set there, drive here"):
        train(other, show_progress=False)
    _, metadata = load_weights(train(replace(config, resume=True), show_progress=False).weights)
    assert metadata["data"]["train"]["sets"] == 1
    assert metadata["data"]["unlabelled"] == {"bags": ["one", "two"], "sets": 5}


def test_shares_of_sets_are_no_windows(tmp_path, bags, cache):
    config = a_config(tmp_path, bags, cache)
    data = replace(config.data, labelled_fraction=0.5, labelled_unit="set")
    with pytest.raises(ConfigurationError, match="use labelled_unit drive"):
        replace(config, data=data, sequences=SequenceConfig(history=1))


def test_an_unknown_unit_of_labels_is_refused():
    with pytest.raises(ConfigurationError, match="'town', expected one of drive, set"):
        DataConfig(labelled_unit="town")
