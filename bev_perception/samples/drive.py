# SPDX-License-Identifier: Apache-2.0
"""One drive of samples: what to look at, what is wrong with it as a whole, and its bag."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bev_perception.bags import BagWriter
from bev_perception.errors import BagError
from bev_perception.geometry import CameraFrame, FrameSet, ObjectBox, Rig, RigidTransform
from bev_perception.samples.declaration import CHOICES, Declaration, simple_bev_declaration
from bev_perception.samples.evidence import Moment
from bev_perception.samples.interpretation import (
    rgb_images,
    sample_boxes,
    sample_points,
    sample_rig,
    world_T_base,
)
from bev_perception.samples.investigation import Investigation, investigate
from bev_perception.samples.raw_sample import RawSample, read_samples

FIRST_STAMP_NS = 1_000_000_000

_CAMERA_TOLERANCE = 1e-3
"""By which calibrations of one drive may differ (metres, radians, share of the focal length)."""


@dataclass(frozen=True, eq=False)
class ImportedSample:
    """One moment in this project's frames, as it goes into a bag.

    Attributes:
        frame_set: images and ego pose.
        rig: of the whole drive.
        objects: boxes in base_link; None where the sample has none stored.
        points: (V, 3) in base_link, or None.
    """

    frame_set: FrameSet
    rig: Rig
    objects: tuple[ObjectBox, ...] | None
    points: np.ndarray | None


@dataclass(frozen=True)
class Drive:
    """Samples that follow each other.

    Attributes:
        name: of its folder.
        paths: of its sample files, in order.
    """

    name: str
    paths: tuple[Path, ...]

    def raw_samples(self, cameras: tuple[str, ...] | None = None) -> Iterator[RawSample]:
        """As stored."""
        return read_samples(self.paths, cameras)

    def samples(
        self, declaration: Declaration, cameras_only: bool = False
    ) -> Iterator[ImportedSample]:
        """As the declaration reads them, or of that only the cameras and their images.

        Raises:
            BagError: calibrations change within the drive, or stamps do not grow.
        """
        rig: Rig | None = None
        last_ns = -1
        for number, raw in enumerate(self.raw_samples(declaration.cameras)):
            own = sample_rig(raw, declaration)
            rig = rig or own
            _check_same_rig(rig, own, raw.name)
            stamp_ns = raw.stamp_ns
            if stamp_ns is None:
                stamp_ns = FIRST_STAMP_NS + round(number * 1e9 / declaration.rate_hz)
            if stamp_ns <= last_ns:
                raise BagError(
                    f"{raw.name}: its stamp {stamp_ns} ns is not after the {last_ns} ns of the "
                    f"sample before; name the files in order of time"
                )
            last_ns = stamp_ns
            yield _imported(raw, declaration, rig, stamp_ns, cameras_only)

    def investigate(self, declaration: Declaration | None, most: int = 16) -> Investigation:
        """Looks at moments spread over the drive.

        Args:
            declaration: to be verified; None to only look for what fits.
            most: moments to look at, and as many that follow them.
        """
        start = declaration or self.first_guess()
        total = (
            sum(1 for _ in self.raw_samples(start.cameras))
            if len(self.paths) < 3
            else len(self.paths)
        )
        wanted = set(np.linspace(0, max(total - 2, 0), min(most, total)).astype(int).tolist())
        keep = wanted | {index + 1 for index in wanted}
        found: dict[int, Moment] = {}
        for index, raw in enumerate(self._chosen(keep, start.cameras)):
            found[sorted(keep)[index]] = Moment(raw, start)
        moments = [found[index] for index in sorted(wanted) if index in found]
        if not moments:
            raise BagError(f"drive {self.name} holds no samples")
        followers = [found.get(index + 1) for index in sorted(wanted) if index in found]
        result = investigate(moments, followers, start, declaration is not None)
        return replace(result, notes=(*result.notes, *_data_notes(moments, start)))

    def first_guess(self) -> Declaration:
        """Simple-BEV's conventions, with what can be read off directly."""
        first = next(self.raw_samples(), None)
        if first is None:
            raise BagError(f"drive {self.name} holds no samples")
        count = len(first.images)
        names = (
            ("front", "left", "rear", "right")
            if count == 4
            else tuple(f"cam{index}" for index in range(count))
        )
        guess = simple_bev_declaration(names)
        return replace(guess, image_values=_value_range(first), first_pixel=_first_pixel(first))

    def _chosen(self, keep: set[int], cameras: tuple[str, ...]) -> Iterator[RawSample]:
        """Samples by number, reading no more files than needed where each holds one."""
        if len(self.paths) >= 3:
            last = len(self.paths) - 1
            chosen = [self.paths[index] for index in sorted(keep) if index <= last]
            per_file = iter(chosen)
            for path in per_file:
                yield next(read_samples([path], cameras))
            return
        for index, raw in enumerate(self.raw_samples(cameras)):
            if index in keep:
                yield raw


def write_bag(
    drive: Drive,
    declaration: Declaration,
    path: Path,
    jpeg_quality: int | None = None,
    storage: str = "mcap",
    on_sample: Callable[[], object] | None = None,
) -> int:
    """One drive as a labelled bag, whole or not at all.

    Returns:
        The number of samples.

    Raises:
        BevError: a sample cannot be read as declared.
    """
    count = 0
    with BagWriter(path, storage) as writer:
        for sample in drive.samples(declaration):
            stamp_ns = sample.frame_set.stamp_ns
            writer.write_frame_set(sample.frame_set, sample.rig, jpeg_quality)
            if sample.objects is not None:
                writer.write_objects(stamp_ns, sample.objects)
            if sample.points is not None:
                writer.write_points(stamp_ns, sample.points)
            count += 1
            if on_sample is not None:
                on_sample()
        if not count:
            raise BagError(f"drive {drive.name} holds no samples")
    return count


def _imported(
    raw: RawSample, declaration: Declaration, rig: Rig, stamp_ns: int, cameras_only: bool
) -> ImportedSample:
    frames = {
        name: CameraFrame(name, stamp_ns, np.ascontiguousarray(image))
        for name, image in zip(declaration.cameras, rgb_images(raw, declaration))
    }
    if cameras_only:
        return ImportedSample(FrameSet(stamp_ns, frames), rig, None, None)
    pose = world_T_base(raw, declaration)
    boxes = sample_boxes(raw, declaration)
    return ImportedSample(
        FrameSet(stamp_ns, frames, (), None if pose is None else RigidTransform.from_matrix(pose)),
        rig,
        None if boxes is None else boxes.boxes(),
        sample_points(raw, declaration),
    )


def _check_same_rig(rig: Rig, own: Rig, where: str) -> None:
    for name in rig.names:
        first, this = rig[name], own[name]
        mounted = first.base_T_camera.is_close(
            this.base_T_camera, _CAMERA_TOLERANCE, _CAMERA_TOLERANCE
        )
        if not mounted:
            raise BagError(
                f"{where}: camera {name} is mounted elsewhere than in the first sample. "
                f"Simple-BEV's training loader swaps a random reference camera into the first "
                f"place: store samples of its validation loader"
            )
        change = np.abs(first.camera.matrix - this.camera.matrix).max()
        if change > _CAMERA_TOLERANCE * first.camera.fx:
            raise BagError(
                f"{where}: the intrinsics of camera {name} differ from the first sample's by "
                f"{change:.1f} pixels. Simple-BEV's training loader resizes and crops at random: "
                f"store samples of its validation loader"
            )


def _value_range(sample: RawSample) -> str:
    low, high = float(np.min(sample.images)), float(np.max(sample.images))
    if sample.images.dtype == np.uint8 or high > 1.5:
        return CHOICES["image_values"][0]
    return "-0.5..0.5" if low < -0.01 else "0..1"


def _first_pixel(sample: RawSample) -> str:
    height, width = sample.images.shape[1:3]
    middle = np.array([width / 2, height / 2])
    at_corner = np.abs(sample.intrinsics[:, :2, 2] - middle).max() < 1e-3
    return "corner" if at_corner else "centre"


def _data_notes(moments: Sequence[Moment], declaration: Declaration) -> Iterator[str]:
    sample = moments[0].sample
    told = _first_pixel(sample)
    if told == "corner" and declaration.first_pixel == "centre":
        yield (
            "the principal point is exactly (w / 2, h / 2), which is the image's middle counted "
            "from the corner of the first pixel, as CARLA does: is first_pixel corner?"
        )
    sky = np.mean([each.thumbnails[:, : each.thumbnails.shape[1] // 4] for each in moments],
                  axis=(0, 1, 2, 3))  # fmt: skip
    if sky[0] > sky[2] + 12:
        yield (
            f"the upper quarter of the images is redder than blue ({sky.round().tolist()} as red, "
            f"green, blue): if the sky looks orange in the pictures, image_channels is bgr"
        )
    if sample.boxes is None:
        yield "no boxes are stored: enough for bev run, not for bev train"
    if sample.pose is None:
        yield "no egopose is stored: maps are not levelled, and driving was not checked"
