# SPDX-License-Identifier: Apache-2.0
"""Files spoiled at random: refused with a BevError or read, never a crash, a hang, a stray file.

tools/fuzz.py does the same with thousands of cases under a limit of memory.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="parameter files are read where ROS is")
pytest.importorskip("onnx", reason="ONNX files are read with the package onnx")

from fuzzing import command_targets
from fuzzing.sandbox import Outcome, try_case
from fuzzing.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 20.0
COMMANDS = tuple(name for name in command_targets.TARGETS if name not in command_targets.READERS)
SLOW = (
    "recipe",
    "nuscenes",
    "bag_definitions",
    "mcap_zstd",
    "sqlite3_zstd",
    "bag_jpegs",
    *COMMANDS,
)
QUICK = [name for name in TARGETS if name not in SLOW]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Outcome]:
    """outcome("mcap", "7"): what reading a spoiled file came to."""
    root = tmp_path_factory.mktemp("fuzz")
    warnings.simplefilter("ignore")

    def run(name: str, seed: str) -> Outcome:
        valid = root / name / "valid"
        if not valid.is_dir():
            valid.mkdir(parents=True)
            TARGETS[name].prepare(valid)
            (root / name / "work").mkdir()
        logging.disable(logging.CRITICAL)
        try:
            return try_case(TARGETS[name], valid, root / name / "work" / "one", seed, TIMEOUT_S)
        finally:
            logging.disable(logging.NOTSET)

    return run


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=st.sampled_from(QUICK), seed=st.integers(0, 10**6))
def test_what_is_spoiled_is_refused_in_one_line_or_read(
    outcome: Callable[[str, str], Outcome], name: str, seed: int
) -> None:
    found = outcome(name, str(seed))
    assert not found.is_finding, found


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in SLOW])
def test_what_is_not_spoiled_is_read(name: str, tmp_path: Path) -> None:
    """Otherwise a target would be refused at its first byte, and prove nothing."""
    TARGETS[name].prepare(tmp_path)
    (tmp_path / "out").mkdir()
    TARGETS[name].read(tmp_path, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "count"),
    [([name for name in TARGETS if name not in COMMANDS], 200), (COMMANDS, 15)],
    ids=["readers", "commands"],
)
def test_a_campaign_finds_nothing(tmp_path: Path, names: Sequence[str], count: int) -> None:
    command = [sys.executable, str(ROOT / "tools" / "fuzz.py"), "--count", str(count)]
    done = subprocess.run(
        [*command, "--seed", "1", "--out", str(tmp_path), *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
