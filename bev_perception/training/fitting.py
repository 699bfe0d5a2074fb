# SPDX-License-Identifier: Apache-2.0
"""Runs the trainer and says in a sentence why it could not go on, and what is kept."""

from __future__ import annotations

import errno
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from bev_perception.errors import BevError, TrainingError
from bev_perception.training.callbacks import StepProgress, Stopper
from bev_perception.training.checkpoint import CheckpointKeeper
from bev_perception.training.distributed import LOST_PROCESS, tells_of_lost_process

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_KILLED_LOADER = re.compile(r"DataLoader worker \(pid.*?\) (is killed|exited unexpectedly)")
_RAISED_IN_LOADER = re.compile(r"^Caught \w+ in DataLoader worker process")

logger = logging.getLogger(__name__)


def fit(
    trainer: Trainer,
    module: LightningModule,
    data: LightningDataModule,
    checkpoint: Path | None,
    stopper: Stopper,
    progress: StepProgress,
    keeper: CheckpointKeeper,
) -> None:
    """Trains, from a checkpoint on if there is one.

    Raises:
        TrainingError: it cannot go on; says which checkpoint is kept.
        KeyboardInterrupt: Ctrl-C; the checkpoint was written before.
    """
    try:
        with told(trainer, keeper):
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # how Lightning answers Ctrl-C
            raise KeyboardInterrupt from error
        raise
    finally:
        stopper.close()
        progress.close()
    if stopper.interrupted:
        logger.warning("stopped at step %d; --resume true goes on from here", trainer.global_step)
        raise KeyboardInterrupt


@contextmanager
def told(trainer: Trainer, keeper: CheckpointKeeper) -> Iterator[None]:
    """Tells what stops a training, or the export after it, as a TrainingError."""
    try:
        with _one_report_of_a_full_disk():
            yield
    except BevError as error:
        raise TrainingError(f"{_sentence(error)}; {_kept(keeper)}") from error
    except (ConnectionError, EOFError) as error:  # it ended while it handed a batch over
        raise TrainingError(_killed_loader(trainer, keeper, error)) from error
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise TrainingError(
            f"step {trainer.global_step}: {trainer.default_root_dir} cannot be written: "
            f"{error.strerror}; free some space, then go on; {_kept(keeper)}"
        ) from error
    except RuntimeError as error:
        if tells_of_lost_process(error):
            raise TrainingError(f"{LOST_PROCESS}; {_kept(keeper)}") from error
        if not _KILLED_LOADER.search(str(error)):
            raise
        raise TrainingError(_killed_loader(trainer, keeper, error)) from error


@contextmanager
def _one_report_of_a_full_disk() -> Iterator[None]:
    """TensorBoard's thread raises in its own name what its next call raises here."""
    before = threading.excepthook

    def without_full_disks(failure: threading.ExceptHookArgs) -> None:
        error = failure.exc_value
        if not (isinstance(error, OSError) and error.errno in DISK_FULL):
            before(failure)

    threading.excepthook = without_full_disks
    try:
        yield
    finally:
        threading.excepthook = before


def _killed_loader(trainer: Trainer, keeper: CheckpointKeeper, error: Exception) -> str:
    return (
        f"step {trainer.global_step}: a process that loads batches was killed ({error}); "
        f"where memory ran out, give fewer data.workers or a smaller batch_size; "
        f"{_kept(keeper)}"
    )


def _kept(keeper: CheckpointKeeper) -> str:
    if keeper.saved_step is None:
        return "no checkpoint was due yet"
    return f"the checkpoint of step {keeper.saved_step} is kept, --resume true goes on from it"


def _sentence(error: BevError) -> str:
    """The message, without the traceback that torch adds to errors of its worker processes."""
    text = str(error)
    if not _RAISED_IN_LOADER.search(text):
        return text
    return text.strip().splitlines()[-1].partition(": ")[2]
