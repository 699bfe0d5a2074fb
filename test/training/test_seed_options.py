# SPDX-License-Identifier: Apache-2.0
"""Every option of the seed's scripts has a successor, which docs/training.md names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bev_perception.cli import run, train
from bev_perception.cli.parser import Parser

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"

TRAIN_CARLA = [
    *("exp_name", "max_iters", "log_freq", "save_freq", "batch_size", "nworkers", "grad_acc"),
    *("use_scheduler", "data_dir", "log_dir", "ckpt_dir", "device_ids"),
]
VIS_CARLA = ["max_iters", "nworkers", "data_dir", "log_dir", "init_dir", "device_ids"]
COMMANDS = {"train": train.COMMAND, "run": run.COMMAND}


def rows():
    """(option of the seed, command, successor) of the table."""
    found = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", DOCUMENT.read_text("utf-8"), re.M)
    return [row for row in found if row[1] in COMMANDS]


def options(command):
    parser = Parser(prog=f"bev {command}")
    COMMANDS[command].add_arguments(parser)
    return {name for action in parser._actions for name in action.option_strings} | {
        action.metavar for action in parser._actions if not action.option_strings
    }


@pytest.mark.parametrize(
    ("command", "names"), [("train", [*TRAIN_CARLA, "init_dir"]), ("run", VIS_CARLA)]
)
def test_every_option_of_the_seed_is_in_the_table(command, names):
    assert sorted(name for name, of, _ in rows() if of == command) == sorted(names)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_successor_exists(command):
    known = options(command) | {"OMP_NUM_THREADS"}
    for name, of, successor in rows():
        if of == command:
            named = re.findall(r"`(--[\w.-]+|BAG|OMP_\w+)`", successor)
            assert named, f"{name} has no successor"
            assert set(named) <= known, f"{name}: {set(named) - known} of bev {command}"
