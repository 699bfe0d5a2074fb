# SPDX-License-Identifier: Apache-2.0
"""What the doctor sees when it looks into the images of an observation; looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.geometry_assignment import Verdict, assign
from bev_perception.doctor.geometry_evidence import ImagePair, image_pair
from bev_perception.doctor.recording import ImageSample, Observation
from bev_perception.errors import BevError
from bev_perception.geometry import Rig, RigidTransform

_SPOILS_CAMERA = (
    "encoding", "camera-info", "size", "focal", "distortion", "optical-frame", "mounting",
    "directions", "image-content", "image-frozen",
)  # fmt: skip
_SPOILS_TIMES = ("jitter", "clock", "offset")
"""Warnings too: at a wrong time the vehicle was elsewhere."""
_SPOILS_POSES = ("stamps", "clock", "quaternions", "tf-publishers", "tf-time", "ego-pose")


@dataclass(frozen=True, eq=False)
class Sight:
    """Images of the cameras whose geometry can be judged.

    Attributes:
        rig: those cameras; None where there are none.
        pairs: consecutive images by camera, in the order of time.
        verdicts: whose images they are and which way up, by camera.
        left_out: why other cameras are not looked at, by name.
        poses_known: whether the ego pose can be relied on.
    """

    rig: Rig | None
    pairs: Mapping[str, tuple[ImagePair, ...]]
    verdicts: Mapping[str, Verdict]
    left_out: Mapping[str, str]
    poses_known: bool

    def driven_m(self, camera: str) -> float:
        """Largest distance between places where images of a camera were taken."""
        places = [pair.position for pair in self.pairs[camera] if pair.position is not None]
        return max((float(np.linalg.norm(place - places[0])) for place in places), default=0.0)


_seen: WeakKeyDictionary[Observation, Sight] = WeakKeyDictionary()


def sight(seen: Observation, so_far: Findings) -> Sight:
    """Looks into the kept images of an observation; a second time costs nothing."""
    found = _seen.get(seen)
    if found is None:
        found = _seen[seen] = _look(seen, so_far)
    return found


def decoded(sample: ImageSample) -> NDArray[np.uint8] | None:
    """(H, W, 3) RGB; None where it cannot be read, which is told as a finding of its own."""
    try:
        return sample.image()
    except BevError:
        return None


def _spoils(entry: Finding) -> bool:
    """Whether images of a camera cannot be compared with its calibration any more."""
    if entry.check in _SPOILS_TIMES:
        return entry.severity.rank >= Severity.WARNING.rank
    return entry.check in _SPOILS_CAMERA and entry.severity is Severity.ERROR


def _look(seen: Observation, so_far: Findings) -> Sight:
    left_out = {
        name: "its calibration or mounting is not known"
        for name in seen.cameras
        if name not in seen.rig_cameras
    }
    for name in seen.rig_cameras:
        spoilers = [
            entry.check for entry in so_far.entries if entry.camera == name and _spoils(entry)
        ]
        if spoilers:
            left_out[name] = f"the check {spoilers[0]} found what is wrong"
    poses_known = not so_far.has_error(*_SPOILS_POSES)
    pairs = {
        name: _pairs(seen, name, poses_known) for name in seen.rig_cameras if name not in left_out
    }
    for name in [each for each, found in pairs.items() if not found]:
        left_out[name] = "there is no image that can be read"
        del pairs[name]
    if not pairs:
        return Sight(None, {}, {}, left_out, poses_known)
    rig = Rig({name: seen.rig_cameras[name] for name in pairs})
    return Sight(rig, pairs, assign(pairs, _moments(seen, pairs), rig), left_out, poses_known)


def _pairs(seen: Observation, name: str, poses_known: bool) -> tuple[ImagePair, ...]:
    def pose(sample: ImageSample) -> RigidTransform | None:
        return seen.world_T_base(sample.stamp_ns) if poses_known else None

    camera = seen.rig_cameras[name].camera
    seconds = {first.moment: second for first, second in seen.pairs(name)}
    found = []
    for sample in seen.cameras[name].samples:
        if sample.place != 0:
            continue
        image = decoded(sample)
        if image is None or image.shape[:2] != (camera.height, camera.width):
            continue
        second = seconds.get(sample.moment)
        next_image = None if second is None else decoded(second)
        next_pose = None if second is None else pose(second)
        found.append(image_pair(image, next_image, pose(sample), next_pose))
    return tuple(found)


def _moments(
    seen: Observation, pairs: Mapping[str, tuple[ImagePair, ...]]
) -> list[dict[str, NDArray[np.uint8]]]:
    """Grey images by camera of each moment at which several cameras were seen."""
    numbers = {
        name: [sample.moment for sample in seen.cameras[name].samples if sample.place == 0]
        for name in pairs
    }
    found: dict[int, dict[str, NDArray[np.uint8]]] = {}
    for name, own in pairs.items():
        if len(own) == len(numbers[name]):
            for number, pair in zip(numbers[name], own):
                found.setdefault(number, {})[name] = pair.first
    return [found[number] for number in sorted(found) if len(found[number]) > 1]
