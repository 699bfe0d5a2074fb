# SPDX-License-Identifier: Apache-2.0
"""Trainings that a benchmark compares: each in a process and a folder of its own, done once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

from tqdm import tqdm

from bev_perception.cli.parser import Parser
from bev_perception.cli.train import COMMAND, configuration
from bev_perception.errors import ConfigurationError
from bev_perception.model import load_weights
from bev_perception.training.checkpoint import decisive_options
from bev_perception.training.checkpoint_file import has_checkpoint
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.train import WEIGHTS_NAME

_WORKING_DIRECTORY = Lock()
"""The parser of a recipe changes it for a moment, for all threads, to that of the recipe."""


@dataclass(frozen=True)
class TrainingRun:
    """One training.

    Attributes:
        folder: of its results.
        arguments: of bev train, without --out.
    """

    folder: Path
    arguments: tuple[object, ...]

    @property
    def weights(self) -> Path:
        """Its result, there when it is finished."""
        return self.folder / WEIGHTS_NAME

    @property
    def config(self) -> TrainConfig:
        """What it trains.

        Raises:
            ConfigurationError: its arguments make no training.
        """
        return train_config(self.arguments)

    def metadata(self) -> dict[str, Any]:
        """What its weights tell of themselves."""
        return load_weights(self.weights)[1]

    def checked_metadata(self) -> dict[str, Any]:
        """The same, of weights that were trained as this run trains.

        Raises:
            SystemExit: they were not.
        """
        metadata = self.metadata()
        there = decisive_options(metadata["recipe"])
        here = decisive_options(self.config.to_dict())
        for name, value in here.items():
            if there.get(name, value) != value:
                raise SystemExit(
                    f"{self.folder} holds a network of other settings: {name} {there[name]} "
                    f"there, {value} now; name another --out"
                )
        return metadata

    def run(self) -> None:
        """Trains, or goes on, unless the weights are there."""
        if self.weights.is_file():
            return
        resume = ["--resume", "true"] if has_checkpoint(self.folder) else []
        run_bev("train", *self.arguments, "--out", self.folder, *resume, log=self.folder / "log")


def run_bev(*arguments: object, log: Path) -> None:
    """Runs ``bev``, its words in a file.

    Raises:
        SystemExit: it failed; says where its words are.
    """
    command = [sys.executable, "-m", "bev_perception.cli.main", *map(str, arguments)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        with _WORKING_DIRECTORY:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        code = process.wait()
    if code:
        raise SystemExit(f"bev {arguments[0]} failed with exit code {code}; see {log}")


def do_all(tasks: Sequence[Callable[[], None]], jobs: int, unit: str) -> None:
    """Does all of them, several at a time, with a bar."""
    with ThreadPoolExecutor(jobs) as pool:
        list(tqdm(pool.map(lambda task: task(), tasks), total=len(tasks), unit=unit))


def train_config(arguments: Sequence[object]) -> TrainConfig:
    """What ``bev train`` would do with these arguments.

    Raises:
        ConfigurationError: they make no training.
    """
    with _WORKING_DIRECTORY:
        return configuration(_train_parser().parse_args([str(word) for word in arguments]))[0]


class _RaisingParser(Parser):
    """Raises what it would have said before it ended the program."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise ConfigurationError(" ".join(message.split()))


@cache
def _train_parser() -> Parser:
    parser = _RaisingParser(prog="bev train")
    COMMAND.add_arguments(parser)
    return parser
