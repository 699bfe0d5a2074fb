# SPDX-License-Identifier: Apache-2.0
"""Pictures and a video of a run, drawn while it goes on."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevOutput, FrameSet, ObjectBox, Rig
from bev_perception.visualization import Picture, VideoWriter, frame_picture, write_image

PICTURE_WIDTH = 1920
VIDEO_WIDTH = 1600
DEFAULT_RATE_HZ = 10.0
NANOSECONDS = 1_000_000_000


class RunPictures:
    """Draws some moments, spread evenly over a recording, and if asked all into a video.

    A context manager; leaving it finishes the video.

    Args:
        rig: calibration of the recorded images.
        folder: gets ``picture_*.jpg`` and ``drive.mp4``.
        stamp_range_ns: first and last stamp of the recording.
        count: how many moments.
        video: whether to make a video.
        labelled: the recording has labels; the chosen moments are those of labelled sets.
    """

    def __init__(
        self,
        rig: Rig,
        folder: Path,
        stamp_range_ns: tuple[int, int],
        count: int,
        video: bool,
        labelled: bool = False,
    ) -> None:
        first, last = stamp_range_ns
        self._rig, self._folder, self._first_ns = rig, folder, first
        self._moments = [first + (last - first) * i // count for i in range(count)]
        self._wants_video, self._labelled = video, labelled
        self._writer: VideoWriter | None = None
        self._waiting: tuple[int, NDArray[np.uint8]] | None = None
        self.pictures: list[Picture] = []
        self.video_path: Path | None = None

    def __enter__(self) -> RunPictures:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self._waiting is not None:
            self._open_video(self._waiting[0] + int(NANOSECONDS / DEFAULT_RATE_HZ))
        if self._writer is not None:
            self._writer.__exit__(kind, error, traceback)
            self.video_path = self._writer.path if kind is None else None

    def add(
        self, frame_set: FrameSet, output: BevOutput, truth: tuple[ObjectBox, ...] | None
    ) -> None:
        """Draws a moment if it is one of the chosen ones or a video is made."""
        seconds = (frame_set.stamp_ns - self._first_ns) / NANOSECONDS
        title = f"{seconds:.2f} s"
        waits_for_labels = self._labelled and truth is None
        if self._moments and frame_set.stamp_ns >= self._moments[0] and not waits_for_labels:
            self._moments = [moment for moment in self._moments if moment > frame_set.stamp_ns]
            image = frame_picture(frame_set, self._rig, output, truth, PICTURE_WIDTH, title)
            write_image(self._folder / f"picture_{len(self.pictures):02d}.jpg", image)
            self.pictures.append(Picture(image, _in_words(output, truth), f"At {title}"))
        if self._wants_video:
            image = frame_picture(frame_set, self._rig, output, truth, VIDEO_WIDTH, title)
            self._add_to_video(frame_set.stamp_ns, image)

    def _add_to_video(self, stamp_ns: int, image: NDArray[np.uint8]) -> None:
        """The first picture waits for the second, whose stamp tells the rate."""
        if self._writer is None and self._waiting is None:
            self._waiting = stamp_ns, image
            return
        if self._writer is None:
            self._open_video(stamp_ns)
        assert self._writer is not None
        self._writer.write(image)

    def _open_video(self, second_stamp_ns: int) -> None:
        assert self._waiting is not None
        first_stamp_ns, image = self._waiting
        self._waiting = None
        interval_s = max((second_stamp_ns - first_stamp_ns) / NANOSECONDS, 1e-3)
        rate_hz = float(np.clip(1.0 / interval_s, 1.0, 60.0))
        self._writer = VideoWriter(self._folder / "drive", rate_hz)
        self._writer.__enter__()
        self._writer.write(image)


def _in_words(output: BevOutput, truth: tuple[ObjectBox, ...] | None) -> str:
    """The picture for those who cannot see it."""
    words = (
        f"Camera views with objects drawn in, beside them the map from above with "
        f"{len(output.objects)} predicted vehicles"
    )
    if truth is None:
        return words + "."
    near = sum(1 for box in truth if box.is_vehicle and output.grid.contains(box.center[:2]))
    return words + f" and the truth with {near} vehicles."
