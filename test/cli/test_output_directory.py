# SPDX-License-Identifier: Apache-2.0
"""Results appear whole or not at all, and nothing of the user's is ever lost."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from bev_perception.cli.output_directory import (
    RUN_FILE,
    result_directory,
    write_json,
    write_run_file,
)
from bev_perception.errors import ConfigurationError


def fill(
    out: Path,
    text: str,
    overwrite: bool = False,
    command: str = "test",
    inputs: tuple[Path, ...] = (),
) -> None:
    with result_directory(out, overwrite, command, inputs) as folder:
        (folder / "result.txt").write_text(text)
        write_run_file(folder, command, {"text": text})


def test_results_appear_when_complete(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with result_directory(out) as folder:
        (folder / "result.txt").write_text("done")
        assert not out.exists()
    assert (out / "result.txt").read_text() == "done"
    assert [path.name for path in out.parent.iterdir()] == ["b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_nothing_not_even_parents(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), result_directory(tmp_path / "a" / "b") as folder:  # noqa: PT012
        (folder / "half.txt").write_text("half")
        raise error
    assert not list(tmp_path.iterdir())


def test_earlier_results_are_replaced_only_when_asked(tmp_path: Path) -> None:
    fill(tmp_path / "out", "first")
    with pytest.raises(ConfigurationError, match="--overwrite"):
        fill(tmp_path / "out", "second")
    assert (tmp_path / "out" / "result.txt").read_text() == "first"
    fill(tmp_path / "out", "second", overwrite=True)
    assert (tmp_path / "out" / "result.txt").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_while_overwriting_keeps_the_earlier_results(tmp_path: Path) -> None:
    fill(tmp_path / "out", "first")
    with pytest.raises(ValueError), result_directory(tmp_path / "out", True):
        raise ValueError
    assert (tmp_path / "out" / "result.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_bev_did_not_make_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for taken in ("home", "file"):
        with pytest.raises(ConfigurationError, match=taken):
            fill(tmp_path / taken, "mine", overwrite)
    assert (tmp_path / "home" / "thesis.tex").exists()
    assert (tmp_path / "file").read_text() == "a file"


def test_results_of_another_command_are_not_replaced(tmp_path: Path) -> None:
    fill(tmp_path / "towns", "an hour of simulation", command="simulate")
    with pytest.raises(ConfigurationError, match=r"bev simulate.*bev inspect"):
        fill(tmp_path / "towns", "mine", overwrite=True, command="inspect")
    assert (tmp_path / "towns" / "result.txt").read_text() == "an hour of simulation"


def test_a_folder_that_holds_an_input_is_not_replaced(tmp_path: Path) -> None:
    fill(tmp_path / "out", "first")
    for source in (tmp_path / "out", tmp_path / "out" / "drive" / "drive.mcap"):
        with pytest.raises(ConfigurationError, match=r"--out .*out holds the input .*lost"):
            fill(tmp_path / "out", "second", overwrite=True, inputs=(source,))
    assert (tmp_path / "out" / "result.txt").read_text() == "first"


def test_a_full_disk_and_a_place_that_cannot_be_made_name_out(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/hidden/place")
    message = r"--out .*a cannot be written: No space left.*free space"
    with pytest.raises(ConfigurationError, match=message), result_directory(tmp_path / "a"):
        raise full
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match=r"--out .*out cannot be written"):
        fill(tmp_path / "file" / "out", "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    fill(tmp_path / "out", "first")
    assert json.loads((tmp_path / "out" / RUN_FILE).read_text())["command"] == "test"


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": float("nan"), "b": [1.5, Path("x")], "c": (True, None)})
    content = json.loads((tmp_path / "a.json").read_text())
    assert content == {"a": None, "b": [1.5, "x"], "c": [True, None]}
