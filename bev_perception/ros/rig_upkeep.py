# SPDX-License-Identifier: Apache-2.0
"""Has everything calibrated anew whenever the rig of the live cameras has changed."""

from __future__ import annotations

import time
from collections.abc import Callable

from bev_perception.geometry import Rig
from bev_perception.ros.live_rig import LiveRig
from bev_perception.ros.worker import NewestWorker

GRACE_NS = 1_000_000_000
"""How long the first set waits for the calibration of all cameras."""


class RigUpkeep:
    """Hands changed rigs to a thread; the first one once it is whole, or has been waited for.

    Args:
        live_rig: what CameraInfo and TF tell.
        min_cameras: a rig of fewer is of no use.
        calibrate: called in the thread, with the newest rig.
        on_crash: called in the thread with what calibrate did not catch.
        min_interval_s: between two calibrations; a rig that changes all the time waits for it,
            one with more cameras than before does not.
    """

    def __init__(
        self,
        live_rig: LiveRig,
        min_cameras: int,
        calibrate: Callable[[Rig], object],
        on_crash: Callable[[BaseException], object],
        min_interval_s: float = 0.0,
    ) -> None:
        self._live_rig = live_rig
        self._min_cameras = min_cameras
        self._worker = NewestWorker(calibrate, "calibration", on_crash)
        self._min_interval_ns = int(min_interval_s * 1e9)
        self._changed_ns = -self._min_interval_ns
        self._num_cameras = 0
        self._pending: Rig | None = None
        self._has_begun = False
        self._first_set_ns: int | None = None

    def note_set(self) -> None:
        """A set of images has come; from the first one on the grace runs."""
        if self._first_set_ns is None:
            self._first_set_ns = time.monotonic_ns()

    def update(self) -> None:
        """Looks whether there is a rig to calibrate for; cheap where nothing has changed."""
        self._pending = self._live_rig.changed_rig() or self._pending
        rig = self._pending
        if rig is None or len(rig) < self._min_cameras:
            return
        now_ns = time.monotonic_ns()
        is_early = now_ns - self._changed_ns < self._min_interval_ns
        if is_early and len(rig) <= self._num_cameras:
            return  # looked at again with the next set, and by the diagnostics
        if self._has_begun or self._live_rig.is_complete or self._grace_is_over():
            self._pending, self._has_begun = None, True
            self._changed_ns, self._num_cameras = now_ns, max(len(rig), self._num_cameras)
            self._worker.put(rig)

    def close(self, timeout_s: float) -> bool:
        """Ends the thread after the calibration in hand, which may build an engine for minutes.

        Args:
            timeout_s: longest time to wait for it.

        Returns:
            Whether it has ended; if not, see NewestWorker.stop.
        """
        return self._worker.stop(timeout_s)

    def _grace_is_over(self) -> bool:
        first_ns = self._first_set_ns
        return first_ns is not None and time.monotonic_ns() - first_ns >= GRACE_NS
