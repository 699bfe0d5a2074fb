# SPDX-License-Identifier: Apache-2.0
"""How much of what comes the node looks at: plain counting, by a steady clock in nanoseconds."""

from __future__ import annotations

from collections import deque

SECOND = 1_000_000_000
MEGABYTE = 1_000_000

_RATE_OF = 50
"""Images that a rate is taken from."""


class RateLimit:
    """Lets through a rate, and bursts of so much as the rate allows in a while.

    Args:
        rate_hz: how much per second.
        burst_s: what may come at once is the rate times this.
    """

    def __init__(self, rate_hz: float, burst_s: float = 1.0) -> None:
        self._rate_hz = rate_hz
        self._most = max(1.0, rate_hz * burst_s)
        self._left = self._most
        self._last_ns: int | None = None

    def admit(self, now_ns: int, amount: float = 1.0) -> bool:
        """Whether so much more may come now."""
        if self._last_ns is not None:
            gained = (now_ns - self._last_ns) / SECOND * self._rate_hz
            self._left = min(self._most, self._left + max(0.0, gained))
        self._last_ns = now_ns
        if amount > self._left:
            return False
        self._left -= amount
        return True


class ImageLimit:
    """What is too much of one camera's images, and for how long it is not listened to then.

    A publisher that floods would fill memory with images, and sets with its own alone; so the
    camera is left out as a whole for a while, and the others go on.

    Args:
        rate_hz: most images per second.
        megabytes: size of the largest image.
    """

    PAUSE_NS = 700_000_000
    """Until the topic is tried again: short, so that an honest publisher is back within a second,
    and long beside the time in which a flood is recognized."""

    _RETRY_BURST_S = 0.1

    def __init__(self, rate_hz: float, megabytes: float) -> None:
        self._rate_hz = rate_hz
        self._most_bytes = int(megabytes * MEGABYTE)
        self._rate = RateLimit(rate_hz)
        self._until_ns: int | None = None
        self._newest_ns: deque[int] = deque(maxlen=_RATE_OF)

    def problem(self, num_bytes: int, now_ns: int) -> str:
        """Why no more is to be received for now; empty while all is well."""
        self._newest_ns.append(now_ns)
        if num_bytes > self._most_bytes:
            text = (
                f"images of {num_bytes / MEGABYTE:.0f} MB come, more than max_image_mb = "
                f"{self._most_bytes / MEGABYTE:g}"
            )
        elif not self._rate.admit(now_ns):
            seconds = max(now_ns - self._newest_ns[0], 1) / SECOND
            rate_hz = (len(self._newest_ns) - 1) / seconds
            text = (
                f"about {rate_hz:.0f} images per second come, more than "
                f"max_image_rate_hz = {self._rate_hz:g}"
            )
        else:
            return ""
        self._until_ns = now_ns + self.PAUSE_NS
        return text

    def is_over(self, now_ns: int) -> bool:
        """Whether the pause that a problem began is over; then the topic is looked at anew."""
        if self._until_ns is None or now_ns < self._until_ns:
            return False
        self._until_ns = None
        self._newest_ns.clear()
        self._rate = RateLimit(self._rate_hz, self._RETRY_BURST_S)
        return True


class TransformLimit:
    """What is too much on /tf and /tf_static together.

    Args:
        rate_hz: most transforms per second, each of which takes a tenth of a millisecond; a burst
            may be as many.
        max_frames: most frames, and most transforms of one message.
    """

    def __init__(self, rate_hz: float = 2000.0, max_frames: int = 500) -> None:
        self.max_frames = max_frames
        self._rate_hz = rate_hz
        self._rate = RateLimit(rate_hz)

    def problem(self, data: bytes, now_ns: int) -> str:
        """Why a serialized TFMessage is not to be read; empty when it is."""
        count = int.from_bytes(data[4:8], "little" if data[1:2] == b"\x01" else "big")
        if count > self.max_frames:
            return f"a message of {count} transforms, more than max_tf_frames = {self.max_frames}"
        if not self._rate.admit(now_ns, max(count, 1)):
            return (
                f"more than max_tf_rate_hz = {self._rate_hz:g} transforms per second come, some "
                f"are not read; look for who publishes so many"
            )
        return ""
