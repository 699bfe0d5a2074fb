# SPDX-License-Identifier: Apache-2.0
"""Images of several cameras to sets of one moment, live and from bags alike.

The earliest stamp that has not been served is the anchor. Its set takes, from each other
camera, the nearest frame within the tolerance: since stamps of one camera grow, that is the
head of the camera's queue. Nothing is searched, so a frame costs O(cameras log cameras).

One loss must not shift a camera by a frame for ever (A0 B1, A1 B2, ...), which is what taking
the heads alone does when the tolerance reaches the camera's period. So before a set is given
out, it is compared with the sets that would come of leaving its earliest frames alone: if one
of them is narrower in time, the earliest frames go without the others. Where that hangs on a
frame that is still to come, and may come early enough, the set waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic

from bev_perception.errors import ConfigurationError
from bev_perception.perception.camera_stream import CameraStream
from bev_perception.perception.fallen_stamps import FallenStamps, Verdict
from bev_perception.perception.set_choice import OTHER_CLOCK, SetChoice
from bev_perception.perception.synchronized_set import Frame, SynchronizedSet
from bev_perception.perception.synchronizer_statistics import SynchronizerStatistics


class Synchronizer(Generic[Frame]):
    """Collects frames, gives out sets in the order of their stamps.

    A set is given out as soon as every camera has shown its frame or that it has none;
    otherwise when the stamps have run timeout_ns past the anchor. Up to the timeout the sets
    do not depend on the order in which cameras arrive. All frames of a set lie within the
    tolerance after its anchor. A frame is used at most once. Cameras faster than
    1 / (2 tolerance) may be regrouped to narrower sets.

    Time is that of the stamps alone, and clocks may disagree. To time a set out, two cameras
    or one of the set must have passed the timeout, and a set whose clock is far ahead of a
    greater number of cameras that still send is kept back: one camera with a wrong clock
    loses its own frames, not those of the others. When more than max_queue frames arrive
    without any decision, the anchor is not waited for longer.

    Cameras may have different rates. What faster ones send between the frames of as many slower
    ones or more makes no partial sets: it is surplus, as long as all come steadily and the slower
    ones' period is not longer than the timeout.

    A camera that let at least three sets in a row, over at least three timeouts, time out is
    silent: sets no longer wait for it. They do again from its first frame that waiting would
    have caught; that frame itself may find its set given out.

    A frame whose stamp falls back by more than timeout_ns is held until it is known what that
    means (FallenStamps). At a clock jump all that waits is dropped, and the frames held begin the
    new time line. Where the other cameras go on, that camera alone begins anew.

    Args:
        cameras: names, in the rig's order.
        tolerance_ns: largest difference to the anchor, nanoseconds.
        timeout_ns: how long a set waits for cameras, nanoseconds of stamps.
        min_cameras: sets of fewer are dropped.
        max_queue: frames kept per camera.

    Raises:
        ConfigurationError: a parameter makes no sense.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        tolerance_ns: int = 50_000_000,
        timeout_ns: int = 200_000_000,
        min_cameras: int = 1,
        max_queue: int = 30,
    ) -> None:
        self.cameras = tuple(cameras)
        self.tolerance_ns = int(tolerance_ns)
        self.timeout_ns = int(timeout_ns)
        self.min_cameras = int(min_cameras)
        self.max_queue = int(max_queue)
        self._check_parameters()
        self.statistics = SynchronizerStatistics.of(self.cameras)
        self._forget()

    def add(self, frame: Frame) -> list[SynchronizedSet[Frame]]:
        """Takes one frame, returns the sets that it completes, usually none or one.

        Raises:
            ConfigurationError: the frame's camera was not named to the constructor.
        """
        stream = self._streams.get(frame.camera)
        if stream is None:
            raise ConfigurationError(
                f"frame of camera {frame.camera!r}, but the synchroniser was set up for "
                f"{', '.join(self.cameras)}"
            )
        self.statistics.count_received(frame.camera, frame.stamp_ns)
        if self._has_fallen(frame, stream):
            self._fallen.hold(frame)
            return self._judge_fallen()
        self._fallen.note_other()
        return self._enter(frame) + self._judge_fallen()

    def _has_fallen(self, frame: Frame, stream: CameraStream[Frame]) -> bool:
        """Whether a stamp lies far before those of its camera, and not because of one odd one."""
        newest_ns = stream.newest_ns
        if newest_ns is None or frame.stamp_ns > newest_ns:
            self._drop(self._fallen.release(frame.camera), "out of order")
            return False
        if self._fallen.holds(frame.camera):
            return True
        if frame.stamp_ns >= newest_ns - self.timeout_ns:
            return False
        odd = stream.take_back(frame.stamp_ns)
        self._drop([] if odd is None else [odd], "out of order")
        return odd is None

    def _judge_fallen(self, is_over: bool = False) -> list[SynchronizedSet[Frame]]:
        """Lets held frames in as soon as it is known on what time line."""
        verdict = self._fallen.verdict(is_over)
        if verdict is Verdict.OPEN:
            return []
        held = self._fallen.release()
        if verdict is Verdict.CLOCK:
            self._jump_back()
        for camera in {frame.camera for frame in held}:
            self._drop(self._streams[camera].restart(), "out of order")
        return [found for frame in held for found in self._enter(frame)]

    def _drop(self, frames: Iterable[Frame], cause: str) -> None:
        for frame in frames:
            self.statistics.count_dropped(frame.camera, cause)

    def _enter(self, frame: Frame) -> list[SynchronizedSet[Frame]]:
        """A frame whose time line is known; the sets that it completes."""
        stream = self._streams[frame.camera]
        cause = self._refusal(frame, stream.newest_ns)
        if len(self._behind) > 1:
            self._jump_back()
            stream, cause = self._streams[frame.camera], ""
        stream.note_stamp(frame.stamp_ns)
        if self._served_ns is None or frame.stamp_ns >= self._served_ns - self.timeout_ns:
            stream.note_back()
        if cause:
            self.statistics.count_dropped(frame.camera, cause)
        else:
            if len(stream.queue) == self.max_queue:
                self.statistics.count_dropped(stream.queue.popleft().camera, "overflow")
            stream.queue.append(frame)
        self._choice.note_arrival(stream)
        return self._decide()

    def give_up(self) -> list[SynchronizedSet[Frame]]:
        """Goes on without waiting longer for the present anchor; nothing where nothing waits.

        For a caller with a clock of its own: when all cameras stop, no stamp comes any more
        that would time the last set out.
        """
        if self._anchor_ns is None:
            return self._judge_fallen(is_over=True)
        return self._decide(give_up=True)

    def flush(self) -> list[SynchronizedSet[Frame]]:
        """All that waits, as at the end of a bag; the clock goes on from there."""
        sets: list[SynchronizedSet[Frame]] = []
        while self.waiting_stamp_ns is not None:
            sets += self.give_up()
        return sets

    def reset(self) -> None:
        """Forgets all that waits, for a clock that was set back; the counts stay."""
        self._jump_back()

    @property
    def waiting_stamp_ns(self) -> int | None:
        """Stamp of the anchor whose set is waited for, or of a frame that has fallen back.

        Nanoseconds; None when nothing waits.
        """
        return self._fallen.first_ns if self._anchor_ns is None else self._anchor_ns

    @property
    def _anchor_ns(self) -> int | None:
        heads = [stream.head_ns for stream in self._streams.values() if stream.queue]
        return min(heads, default=None)

    @property
    def silent_cameras(self) -> tuple[str, ...]:
        """Cameras that sets do not wait for at present."""
        anchor_ns = self._served_ns if self._anchor_ns is None else self._anchor_ns
        return tuple(
            name
            for name, stream in self._streams.items()
            if anchor_ns is not None and stream.is_silent(anchor_ns, self.timeout_ns)
        )

    def _check_parameters(self) -> None:
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ConfigurationError(f"cameras must be named once each, got {self.cameras}")
        if self.tolerance_ns < 0 or self.timeout_ns < self.tolerance_ns:
            raise ConfigurationError(
                f"need 0 <= tolerance_ns <= timeout_ns, got tolerance_ns={self.tolerance_ns} "
                f"timeout_ns={self.timeout_ns}"
            )
        if not 1 <= self.min_cameras <= len(self.cameras):
            raise ConfigurationError(
                f"min_cameras must lie between 1 and the number of cameras "
                f"{len(self.cameras)}, got {self.min_cameras}"
            )
        if self.max_queue < 2:
            raise ConfigurationError(f"max_queue must be at least 2, got {self.max_queue}")

    def _forget(self) -> None:
        self._streams: Mapping[str, CameraStream[Frame]] = {
            name: CameraStream() for name in self.cameras
        }
        self._served_ns: int | None = None
        self._served_without: frozenset[str] = frozenset()
        self._behind: set[str] = set()
        self._fallen: FallenStamps[Frame] = FallenStamps(len(self.cameras), self.max_queue)
        self._choice = SetChoice(self._streams, self.tolerance_ns, self.timeout_ns, self.max_queue)

    def _jump_back(self) -> None:
        self.statistics.clock_jumps += 1
        for stream in self._streams.values():
            self._drop(stream.queue, "clock jump")
        self._drop(self._fallen.release(), "clock jump")
        self._forget()

    def _refusal(self, frame: Frame, newest_ns: int | None) -> str:
        """Why a frame cannot be queued, or nothing."""
        if newest_ns is not None and frame.stamp_ns <= newest_ns:
            return "duplicate" if frame.stamp_ns == newest_ns else "out of order"
        if self._served_ns is None:
            return ""
        behind = frame.stamp_ns - self._served_ns
        if behind < 0:
            if behind < -OTHER_CLOCK * self.timeout_ns:
                self._behind.add(frame.camera)
            return "late"
        if behind <= self.tolerance_ns and frame.camera in self._served_without:
            waiting = [stream.head_ns for stream in self._streams.values() if stream.queue]
            nearest = abs(frame.stamp_ns - min(waiting)) if waiting else math.inf
            return "late" if behind <= nearest else ""
        return ""

    def _decide(self, give_up: bool = False) -> list[SynchronizedSet[Frame]]:
        """Sets that can be given out; the present anchor's even when it should wait."""
        sets: list[SynchronizedSet[Frame]] = []
        while any(stream.queue for stream in self._streams.values()):
            members = self._choice.members(give_up)
            if members is None:
                break
            give_up = False
            complete_set = self._take(members)
            if complete_set is not None:
                sets.append(complete_set)
        return sets

    def _take(self, members: Sequence[str]) -> SynchronizedSet[Frame] | None:
        is_surplus = self._choice.is_surplus(members)
        frames = {name: self._streams[name].queue.popleft() for name in members}
        self._choice.note_taken()
        if is_surplus:
            self._drop(frames.values(), "surplus")
            return None
        self._behind.clear()
        self._served_ns = frames[members[0]].stamp_ns
        missing = tuple(name for name in self.cameras if name not in frames)
        self._served_without = frozenset(missing)
        if len(frames) < self.min_cameras:
            self._drop(frames.values(), "unmatched")
            return None
        if missing:
            self.statistics.partial_sets += 1
        else:
            self.statistics.complete_sets += 1
        ordered = {name: frames[name] for name in self.cameras if name in frames}
        return SynchronizedSet(self._served_ns, ordered, missing)
