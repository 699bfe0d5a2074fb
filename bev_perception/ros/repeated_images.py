# SPDX-License-Identifier: Apache-2.0
"""Whether a camera sends one image again and again."""

from __future__ import annotations

from bev_perception.bags.headers import BEHIND_STAMP

_SAMPLES = 2048


class RepeatedImages:
    """Looks at some bytes of every serialized image of one camera, for microseconds.

    A sensor has noise, so a scene at rest is never the same in all of thousands of pixels. A
    rendered one is.
    """

    def __init__(self) -> None:
        self._sample = b""
        self._length = 0
        self._stamp_ns = 0
        self._count = 0

    def look(self, data: bytes, stamp_ns: int) -> int:
        """How many images before this one were like it, each with another stamp.

        Args:
            data: the message in CDR, a Header first.
            stamp_ns: of its header.
        """
        length = len(data)
        sample = data[BEHIND_STAMP :: length // _SAMPLES | 1]
        is_same = length == self._length and sample == self._sample
        if not is_same:
            self._count = 0
        elif stamp_ns != self._stamp_ns:
            self._count += 1
        self._sample, self._length, self._stamp_ns = sample, length, stamp_ns
        return self._count
