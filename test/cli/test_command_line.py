# SPDX-License-Identifier: Apache-2.0
"""The grammar of ``bev``: help with examples, quick, and one line for every mistake."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bev_perception import __version__
from bev_perception.cli import main as main_module
from bev_perception.cli.main import COMMANDS
from bev_perception.cli.simulate import town_seeds
from bev_perception.errors import ConfigurationError

NAMES = [command.name for command in COMMANDS]


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bev_perception.cli.main import main; code = main(['--help']); "
        "heavy = {'numpy', 'torch', 'cv2', 'rosbags', 'lightning'} & set(sys.modules); "
        "sys.exit(f'imports {heavy}' if heavy else code)"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 2.0, "0.1 s where nothing else runs"
    assert all(name in done.stdout for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself_with_examples(bev: Callable, name: str) -> None:
    result = bev(name, "--help")
    assert result.code == 0
    assert "Examples:" in result.out
    assert f"\n  bev {name} " in result.out
    assert "<function" not in result.out, "a choice is told by its choices"
    # What writes files says where.
    assert "--out" in result.out or name in ("play", "view", "keystore")


def test_version(bev: Callable) -> None:
    assert bev("--version").out.split() == ["bev", __version__]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND|command"),
        (["simulat"], "simulat"),
        (["simulate", "--twon", "3", "--out", "x"], r"--twon.*did you mean --town\?"),
        (["simulate", "--town", "3"], "--out|out"),
        (["simulate", "--town", "3", "--out", "x", "--sets", "many"], "sets"),
        (["simulate", "--town", "3..1", "--out", "x"], r"'3\.\.1' is no seed or range"),
        (["simulate", "--town", "3", "--out", "x", "--jpeg-quality", "200"], "200"),
        (["simulate", "--town", "3", "--out", "x", "--rate-hz", "0"], "got 0"),
        (["simulate", "--town", "3", "--out", "x", "--storage", "tar"], "tar"),
        (["run", "--out", "x"], "^bev run: error: missing: BAG; see bev run --help$"),
        (
            ["simulate", "--town", "3", "--out", "x", "--rate-hz", "q"],
            "--rate-hz: expected float.*q",
        ),
        (["simulate", "--town", "0..9999999", "--out", "x"], "10000000 towns are too many"),
        (["demo", "--town", "-5", "--out", "x"], "--town must be 0 or more, got -5"),
        (["demo", "--rate-hz", "0", "--out", "x"], "--rate-hz must lie between.*got 0"),
        (["run", "bag", "--out", "x", "--pictures", "-1"], "got -1"),
        (["run", "bag", "--out", "x", "--precision", "int3"], "int3"),
        (["train", "bag", "--out", "x", "--optimiser.learning_rate", "1"], "optimiser"),
        (["train", "bag", "--out", "x", "--batch_size", "0"], "batch_size"),
        (["train", "bag", "--out", "x", "--batch_size", "q"], "--batch_size: expected int.*'q'"),
        (["train", "bag", "--out", "x", "--accelerator", "tpuu"], "unknown accelerator 'tpuu'"),
        (["train", "bag", "--out", "x", "--optimizer.learning_rate", ".nan"], "learning_rate"),
        (["train", "bag", "--out", "x", "--config", "absent.yaml"], "absent.yaml"),
        (["evaluate", "bag", "--out", "x", "--stride", "0"], "got 0"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    bev: Callable,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = bev(*arguments)
    assert result.code == 2
    assert pytest.importorskip("re").search(message, result.error), result.error
    assert len(result.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_signals_exit_with_130(
    with_signal: signal.Signals, bev: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(text: str) -> list[int]:
        signal.raise_signal(with_signal)
        raise AssertionError("the signal had no effect")

    monkeypatch.setattr("bev_perception.cli.simulate.town_seeds", interrupted)
    result = bev("simulate", "--town", "1", "--out", "x")
    assert result.code == 130
    assert result.error == "bev simulate: interrupted"


def test_a_missing_extra_says_what_to_install(
    bev: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(text: str) -> list[int]:
        raise ModuleNotFoundError("No module named 'moderngl'", name="moderngl")

    monkeypatch.setattr("bev_perception.cli.simulate.town_seeds", lacking)
    result = bev("simulate", "--town", "1", "--out", "x")
    assert result.code == 2
    assert "pip install 'bev_perception[sim]'" in result.error


def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> list[int]:
        raise ZeroDivisionError

    monkeypatch.setattr("bev_perception.cli.simulate.town_seeds", broken)
    with pytest.raises(ZeroDivisionError):
        main_module.main(["simulate", "--town", "1", "--out", "x"])


def test_towns_are_seeds_ranges_and_lists() -> None:
    assert town_seeds("7") == [7]
    assert town_seeds("7..9") == [7, 8, 9]
    assert town_seeds("7, 9..10,7") == [7, 9, 10]
    for text in ("", "a", "-1", "1..", "1..b", "5..4"):
        with pytest.raises(ConfigurationError, match="--town"):
            town_seeds(text)
