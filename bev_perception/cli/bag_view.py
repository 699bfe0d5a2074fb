# SPDX-License-Identifier: Apache-2.0
"""What bags hold, inputs and outputs alike, into a viewer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from bev_perception.bags import BagReader
from bev_perception.bags.occupancy_grids import occupancy_values, probability_values
from bev_perception.bags.output_reader import OutputReader
from bev_perception.errors import BagError, BevError
from bev_perception.geometry import BevOutput, CameraFrame, Rig
from bev_perception.geometry.rig_file import RigFile

if TYPE_CHECKING:
    from bev_perception.visualization.rerun_view import RerunView

_THRESHOLD = 0.5


class ViewedBag:
    """One bag, with cameras and labels, or outputs, or all of them. A context manager.

    Args:
        path: of the bag.
        node: name that outputs' topics begin with.
        rig_file: for bags that need one.
        cameras: to show, default all.
        warn: told what cannot be shown.

    Attributes:
        cameras: names of those that are shown.

    Raises:
        BagError: it cannot be read, or there is nothing to show.
    """

    def __init__(
        self,
        path: Path,
        node: str,
        rig_file: RigFile | None,
        cameras: Sequence[str] | None,
        warn: Callable[[str], object],
    ) -> None:
        self.path = path
        self._warn = warn
        self._incomplete = set[str]()
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._reader = stack.enter_context(BagReader(path, rig_file))
            self._outputs, why_none = None, ""
            try:
                self._outputs = stack.enter_context(OutputReader(path, node))
            except BagError as error:
                why_none = str(error)
            self.cameras = self._camera_names(cameras)
            if not (self.cameras or self._outputs or self._reader.label_stamps_ns):
                raise BagError(f"{path}: no cameras, no labels, and no outputs: {why_none}")
            self._stack = stack.pop_all()

    def __enter__(self) -> ViewedBag:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def has_reports(self) -> bool:
        """Whether latencies or diagnostics were recorded."""
        outputs = self._outputs
        return outputs is not None and (any(outputs.latencies()) or bool(outputs.diagnostics()))

    def show(
        self, view: RerunView, progress: Callable[[Iterator[CameraFrame]], Iterator[CameraFrame]]
    ) -> Counter[str]:
        """Logs everything, images last because they take longest; counts what there was.

        Args:
            view: to log to.
            progress: wraps the images while they are read.

        Raises:
            BagError: a message is damaged.
        """
        counts: Counter[str] = Counter()
        rig = self._rig()
        if rig is not None:
            view.rig(rig)
        if self._outputs is not None:
            counts += self._show_outputs(view, self._outputs)
        for stamp_ns in self._reader.label_stamps_ns:
            boxes = self._reader.objects(stamp_ns)
            if boxes is not None:
                self._show_pose(view, stamp_ns)
                view.boxes(stamp_ns, boxes, "truth")
                counts["sets of labels"] += 1
        for frame in progress(self._all_frames()) if self.cameras else ():
            view.image(frame)
            counts["images"] += 1
        return counts

    def _all_frames(self) -> Iterator[CameraFrame]:
        """Also those of moments at which the rig that is shown does not hold, as is told."""
        for sentence in map(str, self._reader.rig_changes.mountings):
            self._warn(sentence)
        for name in self._reader.rig_changes.calibrations:
            self._warn(f"camera {name}: its CameraInfo changes; the first one is shown throughout")
        return self._reader.camera_frames(self.cameras, self._leave_out, of_any_rig=True)

    def _leave_out(self, camera: str, error: BagError) -> None:
        """An image of another calibration may have another size."""
        if camera not in self._reader.rig_changes.calibrations:
            raise error
        if camera not in self._incomplete:
            self._warn(f"camera {camera}: images are left out, the first one because {error}")
        self._incomplete.add(camera)

    def _show_outputs(self, view: RerunView, outputs: OutputReader) -> Counter[str]:
        counts: Counter[str] = Counter()
        stamps_ns = outputs.stamps_ns
        for stamp_ns in stamps_ns:
            output = outputs.output(stamp_ns)
            if output is not None:
                self._show_pose(view, stamp_ns)
                _show_output(view, output)
                counts["outputs"] += 1
        for stage, output_ns, milliseconds in outputs.latencies():
            if output_ns is not None:
                view.latency(output_ns, stage, milliseconds)
        for report in outputs.diagnostics() if stamps_ns else ():
            # Reports of a node that goes by another clock than the images must not stretch time.
            stamp_ns = min(max(report.stamp_ns, stamps_ns[0]), stamps_ns[-1])
            view.report(stamp_ns, report.level, report.name, report.message)
            counts["diagnostic messages"] += 1
        return counts

    def _show_pose(self, view: RerunView, stamp_ns: int) -> None:
        world_T_base = self._reader.world_T_base(stamp_ns)
        if world_T_base is not None:
            view.pose(stamp_ns, world_T_base)

    def _camera_names(self, wanted: Sequence[str] | None) -> tuple[str, ...]:
        """Those wanted, in their order, that the bag has; all of them by default."""
        try:
            present = self._reader.camera_topics
        except BagError:
            return ()
        return tuple(name for name in (wanted or present) if name in present)

    def _rig(self) -> Rig | None:
        if not self.cameras:
            return None
        try:
            return self._reader.rig().subset(self.cameras)
        except BevError as error:
            self._warn(f"images are shown without their place in the scene: {error}")
            return None


def _show_output(view: RerunView, output: BevOutput) -> None:
    stamp_ns, objects = output.stamp_ns, output.base_objects
    view.occupancy(stamp_ns, output.grid, occupancy_values(output, _THRESHOLD))
    view.probability(stamp_ns, output.grid, probability_values(output))
    view.boxes(stamp_ns, objects, "predicted")
    view.centers(
        stamp_ns,
        np.array([box.center for box in objects]),
        np.array([box.score for box in objects]),
        np.array([box.object_id for box in objects]),
    )
