# SPDX-License-Identifier: Apache-2.0
"""An ablation as data: a recipe, and what is changed of it, one thing at a time."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from training_runs import train_config

from bev_perception.errors import BevError, ConfigurationError
from bev_perception.geometry.strict_yaml import StrictLoader
from bev_perception.training.configuration import TrainConfig
from bev_perception.untrusted import parse_yaml

CHANGEABLE = re.compile(r"(model|augmentation|losses|optimizer|targets)\..+|batch_size|accumulate")
"""Options that a change may name; others decide data, steps and seeds, which all share."""

KEYS = {"recipe", "changes"}


@dataclass(frozen=True)
class Change:
    """One row: a recipe with one thing changed.

    Attributes:
        group: what kind of thing, and in brackets what the recipe has.
        name: how it differs.
        options: of ``bev train``, with their values as YAML has them; none is the recipe itself.
    """

    group: str
    name: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def kind(self) -> str:
        """The group without what the recipe has."""
        return self.group.partition(" (")[0]

    @property
    def arguments(self) -> list[str]:
        """As typed after ``bev train --config RECIPE``."""
        typed = ([f"--{name}", _typed(value)] for name, value in self.options)
        return [word for pair in typed for word in pair]

    def folder_name(self, recipe: Path, steps: int, seed: int) -> str:
        """Another one for whatever gives other weights from the same drives."""
        facts = [recipe.read_text(encoding="utf-8"), self.arguments, steps, seed]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]
        words = f"{self.kind} {self.name}".lower()
        readable = re.sub(r"[^a-z0-9.]+", "_", words).strip("_")
        return f"{readable}_{seed}_{digest}"


BASE = Change("", "the recipe as it is")


@dataclass(frozen=True)
class Ablation:
    """Rows that are compared with each other.

    Attributes:
        recipe: what all share.
        changes: the recipe itself, BASE, first.
    """

    recipe: Path
    changes: tuple[Change, ...]

    def config(self, change: Change) -> TrainConfig:
        """What a row is trained with, data and steps aside.

        Raises:
            ConfigurationError: its options make no training.
        """
        return train_config(["--config", self.recipe, *change.arguments])


def load_ablation(path: Path) -> Ablation:
    """Reads and checks a file such as benchmarks/ablation_small.yaml.

    Its ``recipe`` is a path relative to it; ``changes`` are groups of rows, each with options of
    ``bev train`` by their dotted names.

    Raises:
        ConfigurationError: it cannot be read; something is missing, unknown or of another kind;
            a change makes no training, changes nothing, or is the same as another.
    """
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"), StrictLoader)
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {' '.join(str(error).split())}") from error
    _require(isinstance(values, Mapping), path, f"expected a mapping with {sorted(KEYS)}")
    _require(set(values) == KEYS, path, f"expected the keys {sorted(KEYS)}, got {sorted(values)}")
    recipe = path.parent / str(values["recipe"])
    _require(recipe.is_file(), path, f"recipe {recipe} does not exist")
    changes = (BASE, *_changes(values["changes"], path))
    ablation = Ablation(recipe, changes)
    _check_different(ablation, path)
    return ablation


def _changes(groups: Any, path: Path) -> Iterator[Change]:
    _require(isinstance(groups, Mapping) and bool(groups), path, "changes holds no group of rows")
    for group, rows in groups.items():
        _require(isinstance(rows, Mapping) and bool(rows), path, f"group {group!r} holds no row")
        for name, options in rows.items():
            where = f"{group!r}, {name!r}"
            whole = isinstance(options, Mapping) and bool(options)
            _require(whole, path, f"{where} names no option of bev train, got {options!r}")
            for option in options:
                _require(
                    CHANGEABLE.fullmatch(str(option)) is not None,
                    path,
                    f"{where} changes {option!r}, but all rows share data, steps and seeds; a "
                    f"change is one of model., augmentation., losses., optimizer., targets., "
                    f"batch_size or accumulate",
                )
            yield Change(str(group), str(name), tuple(options.items()))


def _check_different(ablation: Ablation, path: Path) -> None:
    """Every row trains, and trains something else."""
    seen: dict[str, Change] = {}
    for change in ablation.changes:
        where = f"{change.group!r}, {change.name!r}" if change.options else "the recipe"
        try:
            config = ablation.config(change)
        except BevError as error:
            raise ConfigurationError(f"{path}: {where}: {error}") from error
        same = seen.setdefault(json.dumps(config.to_dict(), sort_keys=True), change)
        _require(same is change, path, f"{where} trains the same as {same.name!r}")


def _typed(value: Any) -> str:
    """A YAML value as it is typed."""
    return value if isinstance(value, str) else json.dumps(value)


def _require(condition: bool, path: Path, message: str) -> None:
    if not condition:
        raise ConfigurationError(f"{path}: {message}")
