# SPDX-License-Identifier: Apache-2.0
"""Where weights come from: what is written into their metadata."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from bev_perception.datasets.prepared_bag import PreparedBag
from bev_perception.geometry.rig_statistics import RIG_KEY, RigStatistics
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.splits import Splits

INIT_KEY = "init"
_OF_START = ("command", "steps", "minutes", "date", INIT_KEY)

_IN_LIST = re.compile(r"""(?<=[\[,"'\s])/[^\],"']+""")
"""Absolute paths in a list, quoted or not."""


def describe_run(
    config: TrainConfig,
    bags: Splits,
    steps: int,
    minutes: float,
    metrics: dict[str, float],
    start: Mapping[str, Any],
) -> dict[str, Any]:
    """Plain values that let a person repeat a run and judge its result.

    Paths are shortened so that metadata tells about the data and not about the machine. start is
    described_start's, where the run began with other weights.
    """
    data = {"train": _describe(bags.train), "validation": _describe(bags.validation)}
    data["train"]["sets"] = len(bags.labelled)
    if bags.unlabelled:
        data["unlabelled"] = _describe(bags.unlabelled)
    return {
        "command": command_line(),
        "recipe": _shortened(config.to_dict()),
        "data": data,
        "steps": steps,
        "minutes": round(minutes, 1),
        "metrics": {name: round(value, 4) for name, value in metrics.items()},
        RIG_KEY: RigStatistics.of(bag.rig for bag in bags.train).to_dict(),
        "torch": torch.__version__,
        "date": datetime.now(timezone.utc).date().isoformat(),
        **({INIT_KEY: dict(start)} if start else {}),
    }


def command_line(arguments: Sequence[str] | None = None) -> str:
    """The command that runs, as a person would type it in its working directory."""
    program, *rest = sys.argv if arguments is None else arguments
    name = Path(program).name
    if name == "main.py":  # python -m bev_perception.cli.main
        name = "bev"
    return shlex.join([name, *(_short_argument(argument) for argument in rest)])


def described_start(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights that a run begins with say of their own training, and of their start."""
    return {name: metadata[name] for name in _OF_START if name in metadata}


def _describe(bags: Sequence[PreparedBag]) -> dict[str, Any]:
    return {
        "bags": [str(bag.description["bag"]) for bag in bags],
        "sets": sum(len(bag) for bag in bags),
    }


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shortened(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_shortened(entry) for entry in value]
    return _short_path(value) if isinstance(value, str) else value


def _short_argument(text: str) -> str:
    """PATH, ``--option=PATH`` or a list of paths, ``[PATH, "PATH"]``, each shortened."""
    name, equals, value = text.partition("=") if text.startswith("--") else ("", "", text)
    if value.startswith("["):
        value = _IN_LIST.sub(lambda match: _short_path(match[0]), value)
    return f"{name}{equals}{_short_path(value)}"


def _short_path(text: str) -> str:
    """An absolute path relative to the working directory, or else its last part alone."""
    if not os.path.isabs(text):
        return text
    path, here = Path(text), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else path.name
