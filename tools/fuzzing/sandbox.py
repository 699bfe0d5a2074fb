# SPDX-License-Identifier: Apache-2.0
"""Reads spoiled files under limits of time and memory, in a process that may die of them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from bev_perception.errors import BevError
from fuzzing.targets import TARGETS, Target

MAX_LINE = 4000
"""Characters of an error's message; longer ones are a finding: nobody reads them."""


@dataclass(frozen=True)
class Outcome:
    """What reading one spoiled file came to.

    Attributes:
        target, seed: which one; `Target.case` makes it again.
        kind: "accepted", "refused", or what went wrong.
        detail: last lines of the traceback, or of the message.
    """

    target: str
    seed: str
    kind: str
    detail: str = ""

    @property
    def is_finding(self) -> bool:
        """Whether something must be mended."""
        return self.kind not in ("accepted", "refused")


class TimeIsUp(BaseException):
    """The reader took longer than it may."""


def try_case(target: Target, valid: Path, work: Path, seed: str, timeout_s: float) -> Outcome:
    """Makes one spoiled case in `work` and reads it; what is outside of its `out` must stay."""
    shutil.rmtree(work, ignore_errors=True)
    case, out = work / "case", work / "out"
    out.mkdir(parents=True)
    target.case(valid, case, seed)
    before = _listing(work)
    kind, detail = _read(target, case, out, timeout_s)
    strangers = sorted(set(_listing(work)) - set(before))
    if strangers and kind in ("accepted", "refused"):
        kind, detail = "wrote outside", ", ".join(strangers)
    return Outcome(target.name, seed, kind, detail)


def _read(target: Target, case: Path, out: Path, timeout_s: float) -> tuple[str, str]:
    try:
        with _time_limit(timeout_s):
            target.read(case, out)
    except BevError as error:
        text = str(error)
        if len(text) > MAX_LINE:
            return "endless message", text[:300]
        return "refused", text
    except TimeIsUp:
        return "hang", traceback.format_exc()[-3000:]
    except MemoryError:
        return "memory", traceback.format_exc()[-3000:]
    except Exception as error:
        return f"crash {type(error).__name__}", traceback.format_exc()[-3000:]
    return "accepted", ""


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def strike(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp

    signal.signal(signal.SIGPROF, strike)  # processor time: the machine may be busy
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _listing(work: Path) -> list[str]:
    """Everything beside and in the work folder, what lies in its out left aside."""
    roots = (work.parent, work.parent.parent)
    beside = [str(path) for root in roots for path in root.iterdir()]
    inside = [str(path) for path in work.rglob("*") if "out" not in path.relative_to(work).parts]
    return [*beside, *inside]


def work_through(name: str, seeds: range, prefix: str, root: Path, log: Path,
                 timeout_s: float, memory_mb: int) -> None:  # fmt: skip
    """All cases of one target in this process; every outcome is a line of the log.

    The case that is being read is announced before, so a log that ends with an announcement
    tells which one killed the process.
    """
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    target, valid, work = TARGETS[name], root / name / "valid", root / name / "work" / "one"
    if not valid.is_dir():
        valid.mkdir(parents=True)
        target.prepare(valid)
    work.mkdir(parents=True, exist_ok=True)
    _read(target, valid, work, 600.0)  # imports all that reading needs
    _limit_memory(memory_mb)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (libraries complain about every case)
    with log.open("a", encoding="utf-8") as file:
        for number in seeds:
            seed = f"{prefix}-{number}"
            file.write(json.dumps({"begun": number, "target": name}) + "\n")
            file.flush()
            outcome = try_case(target, valid, work, seed, timeout_s)
            if outcome.is_finding:
                shutil.copytree(work, root / "findings" / name / seed, dirs_exist_ok=True,
                                symlinks=True)  # fmt: skip
            file.write(json.dumps(asdict(outcome)) + "\n")
            file.flush()


def _limit_memory(megabytes: int) -> None:
    """Above what the process takes now: libraries map much that they never touch."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * os.sysconf("SC_PAGE_SIZE") + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


if __name__ == "__main__":
    name, first, count, prefix, root, log, timeout_s, memory_mb = sys.argv[1:]
    work_through(
        name,
        range(int(first), int(first) + int(count)),
        prefix,
        Path(root),
        Path(log),
        float(timeout_s),
        int(memory_mb),
    )
