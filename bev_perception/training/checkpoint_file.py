# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as files: written whole or not at all, the one before kept, damage found.

A folder holds ``last.ckpt`` and, from the second checkpoint on, ``previous.ckpt``. A new one is
written beside them and reaches the disk before the two change their names, so whatever happens
at whatever moment, one of them is complete.
"""

from __future__ import annotations

import logging
import os
import pickle
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from bev_perception.errors import ConfigurationError

LAST_NAME = "last.ckpt"
PREVIOUS_NAME = "previous.ckpt"
_PARTIAL = ".{name}.{process}.partial"

logger = logging.getLogger(__name__)


class DurableCheckpointIO(TorchCheckpointIO):
    """Lightning's way to files: keeps the checkpoint before the one written."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Writes a checkpoint to a path ending in LAST_NAME.

        Raises:
            OSError: it could not be written; the earlier ones are as they were.
        """
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(_PARTIAL.format(name=place.name, process=os.getpid()))
        try:
            with partial.open("wb") as file:
                _save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if place.exists():
                os.replace(place, place.with_name(PREVIOUS_NAME))
            os.replace(partial, place)
        finally:
            partial.unlink(missing_ok=True)


def has_checkpoint(folder: Path) -> bool:
    """Whether a run left a checkpoint in its folder, complete or not."""
    return any(path.exists() for path in _candidates(folder))


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The newest complete checkpoint of a run, mapped into memory; damaged ones are told.

    Raises:
        ConfigurationError: there is none, or all are damaged.
    """
    damages = []
    for path in _candidates(folder):
        if not path.exists():
            continue
        try:
            checkpoint = _read(path)
        except _DamageError as damage:
            damages.append(f"{path} is damaged or not one of bev train ({damage})")
            continue
        for text in damages:
            logger.warning("%s; going on from %s", text, path)
        return path, checkpoint
    if damages:
        raise ConfigurationError(
            f"nothing to resume: {'; '.join(damages)}; start anew with another --out, or "
            f"--init_weights with weights saved earlier"
        )
    raise ConfigurationError(
        f"nothing to resume: {folder / LAST_NAME} does not exist; leave --resume out to start one"
    )


def remove_partial_checkpoints(folder: Path) -> None:
    """Removes what a killed run was writing."""
    for path in folder.glob(_PARTIAL.format(name=LAST_NAME, process="*")):
        path.unlink(missing_ok=True)


class _DamageError(Exception):
    """Why a file is no complete checkpoint."""


def _candidates(folder: Path) -> Iterator[Path]:
    yield from (folder / LAST_NAME, folder / PREVIOUS_NAME)


def _read(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is not None:
            raise _DamageError(f"checksum of {bad}")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise _DamageError(str(error)) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise _DamageError(str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise _DamageError(f"{type(error).__name__} {error}") from error  # what readers trip over
    if not isinstance(checkpoint, dict):
        raise _DamageError(f"it holds a {type(checkpoint).__name__}")
    return checkpoint


def _save(checkpoint: dict[str, Any], file: Any) -> None:
    """torch.save, whose writer hides the operating system's error in a RuntimeError."""
    try:
        torch.save(checkpoint, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise
