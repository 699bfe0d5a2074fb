# SPDX-License-Identifier: Apache-2.0
"""What is kept of one image topic and of one CameraInfo topic while messages come."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bev_perception.bags.compressed_images import compressed_format_problem
from bev_perception.bags.encoded_image import encoded_size, encoded_suffix
from bev_perception.bags.headers import BEHIND_STAMP, raw_stamp_ns
from bev_perception.bags.images import image_problem
from bev_perception.doctor.recording import ImageForm, InfoTrack

SAMPLE_MOMENTS = 8
"""Moments at which images are kept, two of each camera."""

MOMENT_SPACING_NS = 300_000_000
"""Least time between moments: longer than the cameras of one set are apart."""

SAMPLE_BYTES = 48_000_000
"""Memory that the kept images of one camera may take."""

MAX_CHANGES = 256
"""Calibrations of one camera that are kept."""


@dataclass(frozen=True)
class KeptImage:
    """An image that is kept: see ImageSample."""

    stamp_ns: int
    log_ns: int
    moment: int
    place: int
    message: Any


@dataclass
class ImageCollector:
    """Images of one topic.

    Args:
        topic: of the images.
        compressed: whether they are CompressedImage.
        moments_ns: times of recording from which on images are kept, growing.
    """

    topic: str
    compressed: bool
    moments_ns: Sequence[int]
    stamps_ns: list[int] = field(default_factory=list)
    log_ns: list[int] = field(default_factory=list)
    digests: list[int] = field(default_factory=list)
    forms: Counter[ImageForm] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    damaged: int = 0
    kept: list[KeptImage] = field(default_factory=list)
    _next: int = 0
    _pending: int | None = None
    _kept_bytes: int = 0

    def add(self, log_ns: int, raw: bytes, message: Any) -> None:
        """One message, serialized and decoded."""
        stamp_ns = raw_stamp_ns(raw)
        self.stamps_ns.append(stamp_ns)
        self.log_ns.append(log_ns)
        self.digests.append(zlib.crc32(memoryview(raw)[BEHIND_STAMP:]))
        form, problem = self._look(message)
        self.forms[form] += 1
        if problem:
            self.refusals[problem] += 1
            return
        self._keep(stamp_ns, log_ns, len(raw), message)

    def refuse(self, problem: str) -> None:
        """A message that is not even one."""
        self.damaged += 1
        self.refusals[problem] += 1

    def _look(self, message: Any) -> tuple[ImageForm, str]:
        frame_id = message.header.frame_id.lstrip("/")
        if not self.compressed:
            form = ImageForm(int(message.width), int(message.height), message.encoding, frame_id)
            return form, image_problem(message)
        data = message.data.tobytes()
        size = encoded_size(data)
        problem = compressed_format_problem(message.format)
        if size is None and not problem:
            what = "is cut off" if encoded_suffix(data) else "is neither JPEG nor PNG"
            problem = f"the data of a CompressedImage in format {message.format!r} {what}"
        width, height = size or (0, 0)
        return ImageForm(width, height, message.format, frame_id), problem

    def _keep(self, stamp_ns: int, log_ns: int, size: int, message: Any) -> None:
        if self._pending is not None:
            moment, place = self._pending, 1
            self._pending = None
        elif self._next < len(self.moments_ns) and log_ns >= self.moments_ns[self._next]:
            while self._next < len(self.moments_ns) and log_ns >= self.moments_ns[self._next]:
                self._next += 1
            moment, place = self._next - 1, 0
            self._pending = moment
        else:
            return
        if self._kept_bytes + size <= SAMPLE_BYTES or not self.kept:
            self._kept_bytes += size
            self.kept.append(KeptImage(stamp_ns, log_ns, moment, place, message))


@dataclass
class InfoCollector:
    """CameraInfo of one topic."""

    stamps_ns: list[int] = field(default_factory=list)
    log_ns: list[int] = field(default_factory=list)
    changes: list[tuple[int, Any]] = field(default_factory=list)
    _last: bytes = b""

    def is_new(self, raw: bytes) -> bool:
        """Whether a message differs from the one before it, its stamp aside."""
        return raw[BEHIND_STAMP:] != self._last

    def add(self, log_ns: int, raw: bytes, message: Any | None) -> None:
        """One message; decoded where it is new."""
        if message is not None and len(self.changes) < MAX_CHANGES:
            self.changes.append((len(self.stamps_ns), message))
        self._last = raw[BEHIND_STAMP:]
        self.stamps_ns.append(raw_stamp_ns(raw))
        self.log_ns.append(log_ns)

    def track(self) -> InfoTrack:
        """What has been collected."""
        return InfoTrack(
            np.array(self.stamps_ns, np.int64), np.array(self.log_ns, np.int64), self.changes
        )
