# SPDX-License-Identifier: Apache-2.0
"""The same work on many drives as tasks of a Ray cluster, where Ray is installed."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from bev_perception.errors import ProcessError, SystemLibraryError

Job = TypeVar("Job")

CONNECT_S = 5.0
"""How long a cluster may take to answer; Ray itself tries for minutes."""


def require_ray() -> Any:
    """The module ray.

    Raises:
        SystemLibraryError: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise SystemLibraryError(
            "Ray is asked for but not installed; pip install ray brings it, or leave --ray out "
            "to work with processes of this machine"
        ) from error


def run_on_ray(
    work: Callable[[Job], object], jobs: Sequence[Job], on_done: Callable[[Job], object]
) -> None:
    """Does all jobs, one task each; the first error ends the rest.

    Args:
        work: a function of a module that all machines of the cluster have.
        jobs: what can be sent to them.
        on_done: called here after each job.

    Raises:
        ProcessError: no cluster answers, or a worker was lost.
        SystemLibraryError: Ray is not installed.
        Exception: whatever work raises.
    """
    ray = require_ray()
    if not ray.is_initialized():
        try:
            _check_address(os.environ.get("RAY_ADDRESS", ""))
            ray.init(log_to_driver=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise ProcessError(
                f"no Ray cluster answers: {str(error).strip().splitlines()[0]}; look at "
                f"RAY_ADDRESS and at `ray status`, or leave --ray out"
            ) from error
    remote = ray.remote(work)
    waiting = {remote.remote(job): job for job in jobs}
    try:
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            for reference in done:
                ray.get(reference)
                on_done(waiting.pop(reference))
    except ray.exceptions.RayTaskError as error:
        if "failed to import on the worker" in str(error.cause):
            raise ProcessError(
                "a Ray worker cannot import what it should run; install this version of "
                "bev_perception on every machine of the cluster"
            ) from error
        raise error.cause from error
    except ray.exceptions.RayError as error:  # killed, out of memory, its machine lost
        raise ProcessError(
            f"a Ray worker was lost ({type(error).__name__}), most often because memory ran out; "
            f"what is done stays: run the same command again to go on"
        ) from error
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _check_address(address: str) -> None:
    """Whether somebody listens where ``HOST:PORT`` or ``ray://HOST:PORT`` says.

    Raises:
        OSError: nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():  # none, "auto", "local": Ray looks on this machine
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except OSError as error:
        raise OSError(f"{address}: {error.strerror or error}") from error
