# SPDX-License-Identifier: Apache-2.0
"""A worker thread that does the newest work only."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bev_perception.ros.worker import NewestWorker

TIMEOUT_S = 10.0


class Gate:
    """Work that waits to be let through."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.crashes: list[BaseException] = []
        self.begun = threading.Semaphore(0)
        self.pass_on = threading.Semaphore(0)

    def work(self, number: int) -> None:
        self.begun.release()
        assert self.pass_on.acquire(timeout=TIMEOUT_S)
        if number < 0:
            raise ValueError(number)
        self.done.append(number)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def worker(gate: Gate) -> Iterator[NewestWorker[int]]:
    worker = NewestWorker(gate.work, "test", gate.crashes.append)
    yield worker
    gate.pass_on.release(100)
    worker.stop()


def begin(gate: Gate) -> None:
    assert gate.begun.acquire(timeout=TIMEOUT_S)


def test_newer_work_takes_the_place_of_what_waits(gate: Gate, worker: NewestWorker[int]) -> None:
    assert worker.put(1) is None
    begin(gate)
    assert [worker.put(number) for number in (2, 3, 4)] == [None, 2, 3]
    gate.pass_on.release(2)
    begin(gate)
    worker.stop()
    assert gate.done == [1, 4]


def test_what_waits_can_be_taken_back(gate: Gate, worker: NewestWorker[int]) -> None:
    worker.put(1)
    begin(gate)
    worker.put(2)
    assert worker.clear() == 2
    gate.pass_on.release()
    worker.stop()
    assert gate.done == [1]


def test_a_crash_is_told_and_the_thread_goes_on(gate: Gate, worker: NewestWorker[int]) -> None:
    gate.pass_on.release(2)
    worker.put(-1)
    begin(gate)
    worker.put(5)
    begin(gate)
    worker.stop()
    assert [type(crash) for crash in gate.crashes] == [ValueError]
    assert gate.done == [5]


def test_stopping_does_not_begin_what_waits(gate: Gate, worker: NewestWorker[int]) -> None:
    worker.put(1)
    begin(gate)
    worker.put(2)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    gate.pass_on.release(2)
    stopping.join(TIMEOUT_S)
    assert gate.done in ([1], [1, 2])
    assert not stopping.is_alive()


def test_put_leaves_the_interpreter_to_the_work_until_it_lets_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bev_perception.ros.worker.HAND_OVER_S", 20.0)
    steps: list[str] = []
    may_end = threading.Event()

    def work(number: int) -> None:
        steps.append("begun")
        worker.let_go()
        may_end.wait(20.0)
        steps.append("done")

    worker = NewestWorker(work, "test", steps.append)
    worker.put(1)
    after_put = list(steps)
    may_end.set()
    worker.stop()

    assert after_put == ["begun"]
    assert steps == ["begun", "done"]
