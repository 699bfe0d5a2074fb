# SPDX-License-Identifier: Apache-2.0
"""Faults in streams of decoded images."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from bev_perception.bags.headers import stamp_ns
from bev_perception.bags.images import image_from_message, image_to_message
from bev_perception.errors import BagError
from bev_perception.faults.delivery import Delivery, Kind
from bev_perception.faults.fault import Injection, Injector
from bev_perception.geometry import CameraFrame


def faulty_frames(
    frames: Iterable[CameraFrame], injections: Sequence[Injection]
) -> Iterator[CameraFrame]:
    """The frames that arrive, in the order of their arrival.

    A frame arrives at its stamp. One that has become unreadable does not arrive, as it does not
    from a decoder.

    Args:
        frames: by stamp.
        injections: of faults of images.
    """
    injector, order = Injector(injections), count()
    waiting: list[tuple[int, int, Delivery]] = []
    for frame in frames:
        message = image_to_message(frame.image, frame.stamp_ns, frame.camera)
        for entry in injector.feed(Delivery(Kind.IMAGE, frame.camera, frame.stamp_ns, message)):
            heapq.heappush(waiting, (entry.time_ns, next(order), entry))
        while waiting and waiting[0][0] <= frame.stamp_ns:
            yield from _decoded(heapq.heappop(waiting)[2])
    while waiting:
        yield from _decoded(heapq.heappop(waiting)[2])


def _decoded(delivery: Delivery) -> Iterator[CameraFrame]:
    message = delivery.message
    try:
        image = image_from_message(message, delivery.camera)
    except BagError:
        return
    yield CameraFrame(delivery.camera, stamp_ns(message.header), image)
