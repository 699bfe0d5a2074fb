# SPDX-License-Identifier: Apache-2.0
"""Errors of attitude and height, measured beside the pipeline and taken out of its lift."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future

from bev_perception.geometry import FrameSet
from bev_perception.perception.calibration import Calibration
from bev_perception.residual_pose import (
    NO_CORRECTION,
    NOTHING_KNOWN,
    PoseCorrection,
    PoseResidual,
    ResidualPoseEstimator,
    next_correction,
)


class ResidualCorrection:
    """Measures after a set is done, for the sets after it, so that no set waits for it.

    A set's correction depends on all sets before it, never on how long anything took: live and
    from a bag it is the same.

    Args:
        helper: measures in a thread of its own; None measures at once.

    Attributes:
        correction: to apply to the next set.
        residual: what is known.
    """

    def __init__(self, helper: Executor | None) -> None:
        self.correction: PoseCorrection = NO_CORRECTION
        self.residual: PoseResidual = NOTHING_KNOWN
        self._helper = helper
        self._calibration: Calibration | None = None
        self._estimator: ResidualPoseEstimator | None = None
        self._pending: Future[None] | None = None

    def settle(self, calibration: Calibration) -> PoseCorrection:
        """The correction of the set that begins now, once the sets before it are measured.

        Args:
            calibration: in use; another one than before begins anew.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()
        if self._calibration is not calibration:
            self._calibration = calibration
            self._estimator = ResidualPoseEstimator(calibration.rig)
            self.correction, self.residual = NO_CORRECTION, NOTHING_KNOWN
        return self.correction

    def observe(self, frame_set: FrameSet, expect: Callable[[PoseCorrection], object]) -> None:
        """Begins to measure a set.

        Args:
            frame_set: its usable images, which must not change any more.
            expect: called with a correction that differs from the one before, in the thread that
                measures: builds what the next set needs.
        """
        if self._helper is None:
            self._observe(frame_set, expect)
        else:
            self._pending = self._helper.submit(self._observe, frame_set, expect)

    def _observe(self, frame_set: FrameSet, expect: Callable[[PoseCorrection], object]) -> None:
        assert self._estimator is not None, "settle comes first"
        self.residual = self._estimator.observe(frame_set)
        correction = next_correction(self.correction, self.residual)
        if correction != self.correction:
            expect(correction)
            self.correction = correction
