# SPDX-License-Identifier: Apache-2.0
"""The drives of a run, prepared: to learn from, to look at without labels, to be judged on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.drives import storage_of
from bev_perception.datasets.preparation import ExtractionSettings, find_bags, prepare_bags
from bev_perception.datasets.prepared_bag import PreparedBag
from bev_perception.errors import ConfigurationError
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.semi_supervised.label_split import labelled_part, labelled_sets


@dataclass(frozen=True)
class Splits:
    """Prepared bags.

    Attributes:
        train: from whose labels is learned.
        labelled: (K,) indices, counted through all of train, of the sets whose labels those are;
            all of them unless data.labelled_unit is "set".
        validation: to watch.
        unlabelled: whose images are learned from and whose boxes are not looked at; with those
            of train, as their images teach, too.
    """

    train: list[PreparedBag]
    labelled: NDArray[np.int64]
    validation: list[PreparedBag]
    unlabelled: list[PreparedBag]


def prepared_splits(config: TrainConfig, show_progress: bool, processes: int = 1) -> Splits:
    """Prepares what the run needs and the cache does not hold.

    Args:
        config: the run.
        show_progress: draw a bar.
        processes: that train together and share the validation sets out between them.

    Raises:
        BevError: a bag cannot be read, the splits are not disjoint, or there are validation sets
            but fewer than processes, which is known before training bags are prepared.
    """
    data = config.data
    if not data.train:
        raise ConfigurationError("no bags to train on; name bags or folders in data.train")
    train_paths = find_bags(data.train)
    validation_paths = find_bags(data.validation) if data.validation else []
    unlabelled_paths = find_bags(data.unlabelled) if data.unlabelled else []
    _check_disjoint(validation_paths, {"train": train_paths, "unlabelled": unlabelled_paths})
    labelled_paths = train_paths
    if data.labelled_unit == "drive":
        labelled_paths = labelled_part(train_paths, data.labelled_fraction, config.seed)
    if not config.semi_supervised.uses_unlabelled:
        train_paths = labelled_paths
    settings = ExtractionSettings(
        config.model.image_size,
        data.stride,
        data.rig_file,
        virtual_cameras=config.model.virtual_cameras,
        points=config.losses.depth_weight > 0.0,
        sensor=config.model.sensor,
    )

    def prepared(paths: Sequence[Path], settings: ExtractionSettings) -> list[PreparedBag]:
        cache = data.cache_dir or config.out / "prepared"
        return prepare_bags(paths, cache, settings, data.extraction_processes, show_progress)

    if processes > 1 and validation_paths:
        _check_shares(data.max_validation_sets, processes, "data.max_validation_sets allows")
        watched = sum(len(bag) for bag in prepared(validation_paths, settings))
        _check_shares(watched, processes, "the bags of data.validation hold")
    bags = prepared([*train_paths, *validation_paths], settings)
    of_path = dict(zip([*train_paths, *validation_paths], bags))
    unlabelled: list[PreparedBag] = []
    if config.semi_supervised.uses_unlabelled:
        images_alone = replace(settings, labelled_only=False)
        unlabelled = [of_path[path] for path in train_paths]
        unlabelled += prepared(unlabelled_paths, images_alone)
    labelled = [of_path[path] for path in labelled_paths]
    fraction = data.labelled_fraction if data.labelled_unit == "set" else 1.0
    chosen = labelled_sets(sum(len(bag) for bag in labelled), fraction, config.seed)
    return Splits(
        *_reached(labelled, chosen),
        [of_path[path] for path in validation_paths],
        unlabelled,
    )


def _reached(
    bags: Sequence[PreparedBag], chosen: NDArray[np.int64]
) -> tuple[list[PreparedBag], NDArray[np.int64]]:
    """Bags of which some set is chosen, and indices of the same sets through these bags."""
    counts = np.array([len(bag) for bag in bags], dtype=np.int64)
    bag_of_set = np.repeat(np.arange(len(bags)), counts)
    reached = np.unique(bag_of_set[chosen])
    kept = np.isin(bag_of_set, reached)
    return [bags[number] for number in reached], (np.cumsum(kept) - 1)[chosen]


def _check_shares(num_sets: int, processes: int, who: str) -> None:
    if num_sets < processes:
        raise ConfigurationError(
            f"{processes} processes share the validation sets out, and {who} {num_sets}; name as "
            f"many as processes, start fewer processes, or leave data.validation out"
        )


def _check_disjoint(validation: Iterable[Path], others: dict[str, list[Path]]) -> None:
    watched = {file for path in validation for file in storage_of(path)}
    for name, paths in others.items():
        shared = sorted(path for path in paths if watched & storage_of(path))
        if shared:
            raise ConfigurationError(
                f"{len(shared)} bags are in data.{name} and in data.validation, for example "
                f"{shared[0]}; the splits must be disjoint"
            )
