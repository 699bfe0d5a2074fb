# SPDX-License-Identifier: Apache-2.0
"""Several processes that train one network, started by torchrun on one or more machines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from bev_perception.errors import ConfigurationError, ProcessError

PREPARATION_TIMEOUT = timedelta(hours=24)
"""How long processes wait for the first one of their machine to prepare the data."""

LOST_PROCESS = "another process of this training ended, and its message says why"
_LOST = re.compile(r"(closed|reset) by peer|gloo|NCCL", re.IGNORECASE)


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: of this process, 0 to count - 1; 0 alone writes and talks.
        count: of all processes.
        local_rank, local_count: the same among those of this machine.
        launched: whether torchrun started them.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    launched: bool = False

    @property
    def machines(self) -> int:
        """How many machines take part."""
        return self.count // self.local_count


def processes_of_torchrun() -> Processes:
    """What torchrun told this process, or one process alone.

    Raises:
        ConfigurationError: the machines run different numbers of processes.
    """
    if not distributed.is_torchelastic_launched():
        # Lightning's own launcher starts the command again for the other devices.
        return Processes(rank=int(os.environ.get("LOCAL_RANK", "0")))
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    rank, count, local_rank, local_count = (int(os.environ[name]) for name in names)
    if count % local_count:
        raise ConfigurationError(
            f"torchrun started {count} processes, {local_count} of them here; every machine must "
            f"run the same number (--nproc-per-node)"
        )
    return Processes(rank, count, local_rank, local_count, launched=True)


@contextmanager
def joined(processes: Processes, on_gpu: bool) -> Iterator[None]:
    """Connects the processes of torchrun for as long as the block runs.

    Args:
        processes: see processes_of_torchrun; nothing happens for one alone.
        on_gpu: whether gradients meet on GPUs (NCCL) or in host memory (Gloo).

    Raises:
        ProcessError: another process ended while this one waited for it.
    """
    if not processes.launched or distributed.is_initialized():
        yield
        return
    if on_gpu:
        torch.cuda.set_device(processes.local_rank)
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    distributed.init_process_group(backend, timeout=PREPARATION_TIMEOUT)
    try:
        yield
    except RuntimeError as error:
        if not tells_of_lost_process(error):
            raise
        raise ProcessError(LOST_PROCESS) from error
    finally:
        distributed.destroy_process_group()


def tells_of_lost_process(error: RuntimeError) -> bool:
    """Whether an operation failed because another process of the training is gone."""
    return _LOST.search(str(error)) is not None


@contextmanager
def first_of_machine_first(processes: Processes) -> Iterator[None]:
    """Runs the block in the first process of every machine, then in the others."""
    if processes.launched and processes.local_rank:
        distributed.barrier()
    yield
    if processes.launched and not processes.local_rank:
        distributed.barrier()
