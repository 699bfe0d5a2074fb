# SPDX-License-Identifier: Apache-2.0
"""Keeps a program alive with a second process that has loaded everything and waits.

The supervisor is small and has no threads: it starts processes, waits for their ends and passes
messages on. Both processes run the same module, which asks SupervisedLife for its part.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

from bev_perception.supervision.member import Member, cause_of
from bev_perception.supervision.restart_pace import RestartPace

EXIT_CRASHED, EXIT_BAD_INPUT = 1, 2
PATIENCE_S = 8.0
"""A network that hangs delays its node's end by 5 s; ros2 launch kills after 10 s."""

SETTLING_S = 1.0
"""A process that has just come up has the machine for itself for so long."""

_ASKED_TO_END = (0, EXIT_BAD_INPUT, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOGGER = logging.getLogger(__name__)


class Supervisor:
    """One active process, and one on standby.

    Args:
        arguments: of ``python -m``, for both.
        pace: of restarts of the active process.
        standby_pace: of new standbys.
        settling_s: from the moment when the active process is up to the start of a standby.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        pace: RestartPace | None = None,
        standby_pace: RestartPace | None = None,
        settling_s: float = SETTLING_S,
    ) -> None:
        self._arguments = list(arguments)
        self._pace = pace or RestartPace()
        self._standby_pace = standby_pace or RestartPace()
        self._settling_s = settling_s
        self._active: Member | None = None
        self._standby: Member | None = None
        self._memory: dict[str, Any] = {}
        self._order: dict[str, Any] | None = None
        self._restarts, self._cause = 0, ""
        self._start_at_s = self._standby_at_s = 0.0

    def run(self) -> int:
        """Until the program ends for good.

        Returns:
            The exit code: that of the active process where it was asked to end or found something
            that its user must mend (2); 1 where it crashes again and again while it starts.
        """
        with _Wakeup() as wakeup:
            try:
                while True:
                    code = self._step()
                    if code is not None:
                        return code
                    if wakeup.stop_signal is not None:
                        return self._ended(wakeup.stop_signal)
                    wakeup.wait(self._members(), self._timeout_s())
            finally:
                self._dismiss_standby()
                for member in self._members():
                    member.end(signal.SIGINT, PATIENCE_S)

    def _step(self) -> int | None:
        """Looks at both processes; the exit code where all is over."""
        self._hear()
        active = self._active
        if active is not None and (code := active.exit_code) is not None:
            if code in _ASKED_TO_END:
                return max(code, 0)
            if not self._bury(active, code):
                return EXIT_CRASHED
        self._look_after_standby()
        if self._active is None and time.monotonic() >= self._start_at_s:
            self._start_active()
        return None

    def _ended(self, number: int) -> int:
        """All, on demand; the active process's exit code."""
        self._dismiss_standby()
        if self._active is None:
            return 0
        active, self._active = self._active, None
        code = active.end(number, PATIENCE_S)
        if code == -signal.SIGKILL:
            _LOGGER.error("process %d did not end within %.0f s: killed", active.pid, PATIENCE_S)
            return EXIT_CRASHED
        return max(code, 0)

    def _dismiss_standby(self) -> None:
        """While it loads, it has nothing to clean up and does not listen to signals yet."""
        if self._standby is not None:
            is_loaded = self._standby.up_since_s is not None
            self._standby.ask_to_end(signal.SIGINT if is_loaded else signal.SIGKILL)

    def _bury(self, active: Member, code: int) -> bool:
        """The active process has died; whether another one is to follow."""
        up_s = active.up_s
        self._active = None
        active.channel.close()
        self._cause = cause_of(code)
        pause_s = self._pace.pause_s(up_s)
        if pause_s is None:
            _LOGGER.error(
                "process %d %s while it started, as those before it: giving up; what they wrote "
                "stands above",
                active.pid,
                self._cause,
            )
            return False
        self._restarts += 1
        self._start_at_s = time.monotonic() + pause_s
        _LOGGER.warning(
            "process %d %s%s",
            active.pid,
            self._cause,
            f"; the next one begins in {pause_s:.0f} s, because lives are short" if pause_s else "",
        )
        return True

    def _start_active(self) -> None:
        member, self._standby = self._standby, None
        if member is None:
            what = "takes over and has to load first" if self._restarts else "starts"
            member = self._started()
        elif member.up_since_s is None:
            what = "takes over before it was ready"
        else:
            what = "has loaded everything and takes over"
        if member is None:
            self._start_at_s = time.monotonic() + (self._pace.pause_s(None) or 1.0)
            return
        self._active = member
        member.up_since_s = None
        order = {"restarts": self._restarts, "cause": self._cause, "memory": self._memory}
        member.channel.send({"do": "take over", **order})
        _LOGGER.info("process %d %s (restarts: %d)", member.pid, what, self._restarts)

    def _look_after_standby(self) -> None:
        """One is started where there is none, and the active process has settled."""
        standby, active, now_s = self._standby, self._active, time.monotonic()
        if standby is not None and (code := standby.exit_code) is not None:
            pause_s = self._standby_pace.pause_s(standby.up_s)
            self._standby = None
            standby.channel.close()
            self._standby_at_s = float("inf") if pause_s is None else now_s + pause_s
            text = f"the standby (process {standby.pid}) {cause_of(code)}"
            _LOGGER.warning("%s%s", text, "" if pause_s is not None else "; there will be none")
            self._tell_active("", text)
        up_s = None if active is None else active.up_s
        is_settled = up_s is not None and up_s >= self._settling_s
        if self._standby is None and is_settled and now_s >= self._standby_at_s:
            self._standby = self._started()
            if self._standby is None:
                self._standby_at_s = now_s + (self._standby_pace.pause_s(None) or 30.0)
                return
            self._instruct(self._standby)

    def _instruct(self, standby: Member) -> None:
        standby.up_since_s = None
        standby.channel.send({"do": "prepare", "order": self._order})
        self._tell_active("loading", "")

    def _started(self) -> Member | None:
        try:
            return Member(self._arguments)
        except OSError as error:
            _LOGGER.error("another process cannot be started: %s", error)
            return None

    def _hear(self) -> None:
        while self._active is not None and (message := self._active.next_message()) is not None:
            if message["tell"] != "memory":
                continue  # it had still loaded when it was to take over
            self._active.is_up()
            self._memory = message["memory"]
            if message["order"] != self._order:
                self._order = message["order"]
                if self._standby is not None:
                    self._instruct(self._standby)
        while self._standby is not None and (message := self._standby.next_message()) is not None:
            self._standby.is_up()
            problem = message["problem"]
            if problem:
                _LOGGER.warning("the standby cannot load everything: %s", problem)
            else:
                _LOGGER.info("process %d is on standby", self._standby.pid)
            self._tell_active("ready", problem)

    def _tell_active(self, standby: str, problem: str) -> None:
        if self._active is not None:
            self._active.channel.send({"standby": standby, "problem": problem})

    def _members(self) -> list[Member]:
        return [member for member in (self._active, self._standby) if member is not None]

    def _timeout_s(self) -> float | None:
        """Until something is to be done that no process announces; None for never."""
        now_s = time.monotonic()
        if self._active is None:
            return max(0.0, self._start_at_s - now_s)
        up_since_s = self._active.up_since_s
        if self._standby is None and up_since_s is not None:
            at_s = max(up_since_s + self._settling_s, self._standby_at_s)
            return None if at_s == float("inf") else max(0.0, at_s - now_s)
        return None


class _Wakeup:
    """Ends waits when a signal comes: a child's end, or somebody's wish to stop.

    Attributes:
        stop_signal: the first of SIGINT and SIGTERM that has come.
    """

    def __init__(self) -> None:
        self.stop_signal: int | None = None

    def __enter__(self) -> _Wakeup:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        self._handlers = {
            number: signal.signal(number, self._note) for number in (*_STOP_SIGNALS, signal.SIGCHLD)
        }
        self._wakeup_before = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._read_end)
        os.close(self._write_end)

    def wait(self, members: Sequence[Member], timeout_s: float | None) -> None:
        """For a signal, a message, or so long."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._read_end, selectors.EVENT_READ)
            for member in members:
                if not member.channel.is_closed:
                    selector.register(member.channel, selectors.EVENT_READ)
            selector.select(timeout_s)
        try:
            os.read(self._read_end, 1 << 12)
        except BlockingIOError:
            return

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in _STOP_SIGNALS and self.stop_signal is None:
            self.stop_signal = number
