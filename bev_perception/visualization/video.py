# SPDX-License-Identifier: Apache-2.0
"""Video files that browsers play, through PyAV."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import SystemLibraryError

if TYPE_CHECKING:  # PyAV is large, and a machine that only trains or simulates needs none
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_ENCODERS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("libx264", ".mp4", "mp4", {"crf": "23", "preset": "veryfast", "movflags": "+faststart"}),
    ("libopenh264", ".mp4", "mp4", {"movflags": "+faststart"}),
    ("libvpx-vp9", ".webm", "webm", {"crf": "34", "b": "0", "cpu-used": "6"}),
)
"""Encoder, file suffix, container and options, the most widely played first."""


def video_encoder() -> tuple[str, str, str, dict[str, str]]:
    """The first of the known encoders that this build of FFmpeg has.

    Raises:
        SystemLibraryError: it has none of them.
    """
    import av

    for entry in _ENCODERS:
        if entry[0] in av.codecs_available:
            return entry
    raise SystemLibraryError(
        "this build of PyAV has no H.264 or VP9 encoder "
        f"(looked for {', '.join(entry[0] for entry in _ENCODERS)}); "
        "install the `av` wheel from PyPI"
    )


class VideoWriter:
    """Writes pictures of one size to a video, whole or not at all.

    A context manager: the file appears when it ends well, and not at all otherwise or when no
    picture was written.

    Args:
        path: the video; its suffix is replaced by .mp4 (H.264) or, where no H.264 encoder
            exists, .webm (VP9). ``VideoWriter.path`` tells which.
        rate_hz: pictures per second.
    """

    def __init__(self, path: Path, rate_hz: float = 10.0) -> None:
        self._encoder, suffix, self._container_format, self._options = video_encoder()
        self.path = Path(path).with_suffix(suffix)
        self._partial = self.path.with_name(f".{self.path.name}.partial")
        self._rate = Fraction(rate_hz).limit_denominator(1000)
        self._open: tuple[OutputContainer, VideoStream] | None = None

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, image: NDArray[np.uint8]) -> None:
        """Appends a picture (H, W, 3) uint8 RGB with even sides, all of one size."""
        import av

        if self._open is None:
            self._open = self._start(image.shape[1], image.shape[0])
        container, stream = self._open
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        container.mux(stream.encode(frame))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._open is None:
            return
        container, stream = self._open
        try:
            if kind is None:
                container.mux(stream.encode(None))
            container.close()
            if kind is None:
                os.replace(self._partial, self.path)
        finally:
            self._partial.unlink(missing_ok=True)

    def _start(self, width: int, height: int) -> tuple[OutputContainer, VideoStream]:
        import av

        of_container = {key: self._options[key] for key in self._options if key == "movflags"}
        of_encoder = {key: self._options[key] for key in self._options if key != "movflags"}
        container = av.open(
            str(self._partial), "w", format=self._container_format, options=of_container
        )
        stream = cast(
            "VideoStream", container.add_stream(self._encoder, self._rate, options=of_encoder)
        )
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p"
        return container, stream
