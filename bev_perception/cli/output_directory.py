# SPDX-License-Identifier: Apache-2.0
"""Result folders that appear whole or not at all, and are never overwritten by accident."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bev_perception import __version__
from bev_perception.errors import ConfigurationError
from bev_perception.untrusted import parse_json

RUN_FILE = "run.json"
"""Says what made a result folder; only folders that hold it are ever replaced."""


UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors that only writing can meet."""


@contextmanager
def result_directory(
    out: Path, overwrite: bool = False, command: str = "", inputs: Iterable[Path] = ()
) -> Iterator[Path]:
    """A folder to fill, moved to its place when the block ends well, removed otherwise.

    Args:
        out: the final place. It must not exist, be an empty folder, or, with overwrite, be a
            result folder of an earlier run.
        overwrite: replace such earlier results.
        command: the command at work; results of another one are never replaced.
        inputs: what the command reads; a folder that holds any of it is never replaced.

    Yields:
        An empty folder beside ``out``.

    Raises:
        ConfigurationError: ``out`` is taken or cannot be written, or the disk is full.
    """
    out = Path(out)
    check_free(out, overwrite, command)
    _check_apart(out, inputs)
    created = missing_folders(out.parent)
    partial = out.parent / f".{out.name}.partial-{os.getpid()}"
    try:
        with writing_to(out):
            partial.mkdir(parents=True)
        with writing_to(out, UNWRITABLE):
            yield partial
        with writing_to(out):
            _move_into_place(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        remove_empty(created)
        raise


@contextmanager
def writing_to(out: Path, errors: Container[int | None] | None = None) -> Iterator[None]:
    """Tells errors of the operating system as ones about ``--out``.

    Args:
        out: the folder.
        errors: which ones, as the block reads other files too; default all.

    Raises:
        ConfigurationError: in place of such an OSError.
    """
    try:
        yield
    except OSError as error:
        if errors is not None and error.errno not in errors:
            raise
        raise ConfigurationError(
            f"--out {out} cannot be written: {error.strerror or error}; choose another folder, or "
            f"check its permissions and the free space"
        ) from error


def missing_folders(folder: Path) -> list[Path]:
    """The folder and its parents as far as they do not exist, innermost first."""
    return [place for place in (folder, *folder.parents) if not place.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Removes those folders that are empty, in the order given."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _check_apart(out: Path, inputs: Iterable[Path]) -> None:
    """Refuses to put results in the place of an input, or of a folder that an input is in."""
    place = out.resolve()
    for path in inputs:
        source = Path(path).resolve()
        if out.exists() and any(out.iterdir()) and place in (source, *source.parents):
            raise ConfigurationError(
                f"--out {out} holds the input {path}, which would be lost; choose another folder"
            )


def check_free(out: Path, overwrite: bool, command: str = "") -> None:
    """Refuses a place that holds something that must not be lost.

    Raises:
        ConfigurationError: with what to do.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        raise ConfigurationError(f"--out {out} exists and is no folder; choose another name")
    if not any(out.iterdir()):
        return
    if not (out / RUN_FILE).is_file():
        raise ConfigurationError(
            f"--out {out} holds files that bev did not make ({RUN_FILE} is not among them); "
            f"choose another folder"
        )
    if not overwrite:
        raise ConfigurationError(
            f"--out {out} holds earlier results; choose another folder or give --overwrite"
        )
    earlier = read_run_file(out).get("command")
    if command and earlier != command:
        raise ConfigurationError(
            f"--out {out} holds results of bev {earlier}, which bev {command} does not replace; "
            f"choose another folder, or remove them yourself"
        )


def write_run_file(folder: Path, command: str, settings: Mapping[str, object]) -> None:
    """Writes run.json: the command and everything needed to run it again."""
    content = {"command": command, "version": __version__, **settings}
    write_json(folder / RUN_FILE, content)


def read_run_file(folder: Path) -> dict[str, Any]:
    """What write_run_file wrote.

    Raises:
        ConfigurationError: it is not readable as such.
    """
    try:
        content = parse_json((folder / RUN_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{folder / RUN_FILE} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{folder / RUN_FILE} is damaged: not a mapping")
    return content


def write_json(path: Path, content: object) -> None:
    """Writes JSON beside its name and moves it there; NaN becomes null."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(json.dumps(plain(content), indent=2) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def plain(value: object) -> object:
    """The value with only JSON's types in it; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return str(value)


def _move_into_place(partial: Path, out: Path) -> None:
    earlier = out.with_name(f".{out.name}.earlier-{os.getpid()}")
    if out.exists():
        os.replace(out, earlier)
    try:
        os.replace(partial, out)
    except BaseException:
        if earlier.exists():
            os.replace(earlier, out)
        raise
    shutil.rmtree(earlier, ignore_errors=True)
