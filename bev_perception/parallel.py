# SPDX-License-Identifier: Apache-2.0
"""The same work on many drives, several processes at a time, here or on a Ray cluster.

Whoever waits for them leaves them nothing to do when it is interrupted, by Ctrl-C or SIGTERM, and
takes them along when it is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import TypeVar

import cv2

from bev_perception.errors import ProcessError
from bev_perception.parent_process import end_with_parent
from bev_perception.ray_cluster import run_on_ray

Job = TypeVar("Job")

_stop: Event | None = None
"""In a worker process: set when the parent was interrupted or another job failed."""


def run_jobs(
    work: Callable[[Job], object],
    jobs: Sequence[Job],
    processes: int,
    on_done: Callable[[Job], object],
    use_ray: bool = False,
) -> None:
    """Does all jobs; the first error ends the rest.

    Args:
        work: a function of a module, called with one job; calls stop_if_asked now and then.
        jobs: what can be sent to another process.
        processes: at a time; 1 works in this process.
        on_done: called here after each job.
        use_ray: one Ray task per job instead of processes.

    Raises:
        ProcessError: a worker process was killed, or no Ray cluster answers.
        SystemLibraryError: Ray is asked for and not installed.
        KeyboardInterrupt: Ctrl-C.
        Exception: whatever work raises.
    """
    if use_ray:
        run_on_ray(work, jobs, on_done)
    elif processes <= 1 or len(jobs) <= 1:
        for job in jobs:
            work(job)
            on_done(job)
    else:
        _run_in_processes(work, jobs, processes, on_done)


def stop_if_asked() -> None:
    """For long work: ends it when the process that waits for it was interrupted.

    Raises:
        KeyboardInterrupt: it was.
    """
    if _stop is not None and _stop.is_set():
        raise KeyboardInterrupt


def _run_in_processes(
    work: Callable[[Job], object],
    jobs: Sequence[Job],
    processes: int,
    on_done: Callable[[Job], object],
) -> None:
    # Spawned, not forked: the parent may hold threads of torch, OpenMP and OpenCV.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    threads = max(1, (os.cpu_count() or 1) // processes)
    arguments = os.getpid(), stop, threads
    pool = ProcessPoolExecutor(min(processes, len(jobs)), context, _start_worker, arguments)
    try:
        futures = {pool.submit(work, job): job for job in jobs}
        for future in as_completed(futures):
            future.result()
            on_done(futures[future])
    except BrokenProcessPool as error:
        raise ProcessError(
            "a worker process was killed, most often because memory ran out; what is done "
            "stays: run the same command again to go on, with fewer processes if it was memory"
        ) from error
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(parent: int, stop: Event, threads: int) -> None:
    """Workers leave Ctrl-C to the parent, which tells them through the event, and end with it.

    A worker that outlived it would write what the same command, started again, writes, too.
    Together they have as many threads as there are processors. Mesa asks the environment.
    """
    global _stop
    _stop = stop
    if not end_with_parent(parent, signal.SIGKILL):
        raise ProcessError("the process that started this worker has ended already")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("LP_NUM_THREADS", str(threads))
    cv2.setNumThreads(threads)
