# SPDX-License-Identifier: Apache-2.0
"""Copies the sets that were found fit from a bag into shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from bev_perception.bags.encoded_image import encoded_suffix
from bev_perception.bags.recorded_bag import RecordedBag, RecordedImage
from bev_perception.datasets.drive_survey import DriveSurvey
from bev_perception.datasets.shard_format import StoredPicture, StoredSet
from bev_perception.datasets.shard_settings import ShardSettings
from bev_perception.datasets.stored_points import RecordedClouds
from bev_perception.datasets.text_spool import TextSpool
from bev_perception.errors import BagError
from bev_perception.parallel import stop_if_asked
from bev_perception.visualization import encode_image

_LEAD = 4
"""Sets that threads may encode ahead of the one that is given out."""


def stored_sets(
    bag: RecordedBag, survey: DriveSurvey, settings: ShardSettings, spool: TextSpool, threads: int
) -> Iterator[StoredSet]:
    """The kept sets of a survey with their images and points, in order.

    Clouds that cannot be read are added to the survey's notes.

    Args:
        bag: the one that was surveyed.
        survey: what to copy.
        settings: how raw images are encoded.
        spool: holds the boxes.
        threads: that encode raw images; 1 encodes in this one.

    Raises:
        BagError: the bag was changed since the survey.
    """
    wanted = {
        (name, note.stamp_ns, note.log_ns): number
        for number, (planned, _) in enumerate(survey.kept)
        for name, note in planned.images.items()
    }
    sizes = [len(planned.images) for planned, _ in survey.kept]
    pictures: list[dict[str, Future[StoredPicture]]] = [{} for _ in survey.kept]
    clouds = RecordedClouds(bag, settings.max_points)
    given = complete = 0
    lead = _LEAD if threads > 1 else 0
    with ThreadPoolExecutor(threads) as pool:
        for image in bag.recorded_images():
            stop_if_asked()
            name = image.topics.name
            number = wanted.get((name, image.stamp_ns, image.log_ns))
            if number is None:
                continue
            encode = _encoder(bag, image, settings)
            pictures[number][name] = pool.submit(encode) if threads > 1 else _done(encode())
            while complete < len(sizes) and len(pictures[complete]) == sizes[complete]:
                complete += 1
            while given < complete - lead:
                yield _stored(survey, given, pictures[given], clouds, spool)
                pictures[given] = {}
                given += 1
        if complete < len(sizes):
            raise BagError(f"{bag.path}: images are gone; the bag was changed while it was read")
        for number in range(given, complete):
            yield _stored(survey, number, pictures[number], clouds, spool)
    survey.notes += clouds.notes


def _encoder(
    bag: RecordedBag, image: RecordedImage, settings: ShardSettings
) -> Callable[[], StoredPicture]:
    """What makes the picture; the message is deserialized now, by one thread."""
    data = bag.encoded(image)
    if data is not None:
        return lambda: StoredPicture(image.stamp_ns, data, encoded_suffix(data) or "jpg")
    pixels = bag.decoded(image)
    suffix = "png" if settings.raw_format == "png" else "jpg"
    quality = settings.jpeg_quality
    return lambda: StoredPicture(
        image.stamp_ns, encode_image(pixels, f".{suffix}", quality), suffix
    )


def _done(picture: StoredPicture) -> Future[StoredPicture]:
    future: Future[StoredPicture] = Future()
    future.set_result(picture)
    return future


def _stored(
    survey: DriveSurvey,
    number: int,
    pictures: dict[str, Future[StoredPicture]],
    clouds: RecordedClouds,
    spool: TextSpool,
) -> StoredSet:
    planned, segment = survey.kept[number]
    return StoredSet(
        stamp_ns=planned.stamp_ns,
        pictures={name: pictures[name].result() for name in survey.rig.names if name in pictures},
        world_T_base=planned.world_T_base,
        objects_json=spool.text(planned.objects),
        rig=survey.rig,
        offset_ns=planned.stamp_ns - survey.start_ns,
        segment=segment,
        clouds=clouds.at(planned.stamp_ns),
    )


def expected_bytes(
    bag: RecordedBag, survey: DriveSurvey, settings: ShardSettings, spool: TextSpool
) -> int:
    """About how much the shards will take; more rather than less."""
    images = {
        name: sum(planned.images[name].num_bytes for planned, _ in survey.kept
                  if name in planned.images)
        for name in survey.rig.names
    }  # fmt: skip
    total = spool.size + 8192 * len(survey.kept)
    if survey.kept:
        middle = survey.kept[len(survey.kept) // 2][0]
        clouds = RecordedClouds(bag, settings.max_points).at(middle.stamp_ns)
        total += len(survey.kept) * sum(points.nbytes for points in clouds.values())
    for name, size in images.items():
        camera = survey.rig[name].camera
        count = sum(name in planned.images for planned, _ in survey.kept)
        raw = 3 * camera.width * camera.height * count
        is_raw = size >= camera.width * camera.height * count
        share = 0.7 if settings.raw_format == "png" else 0.25
        total += int(share * raw) if is_raw else size
    return total
