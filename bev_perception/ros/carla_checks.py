# SPDX-License-Identifier: Apache-2.0
"""The start-up check: what a simulator's cameras send against what must be true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bev_perception.geometry import Rig, RigidTransform
from bev_perception.ros.carla_defects import Defect
from bev_perception.ros.carla_lens_check import FoundLens, LensVerdict, check_lens
from bev_perception.ros.carla_mounting_check import MountingVerdict, check_mountings
from bev_perception.ros.carla_stamp_check import StampVerdict, check_stamps


@dataclass(frozen=True)
class FoundCamera:
    """What was heard of one camera.

    Attributes:
        lens: its CameraInfo.
        image_size: (width, height) of its images, pixels.
        frame_id: of its CameraInfo.
        base_T_frame: where TF has that frame.
        stamps_ns: of a few images.
    """

    lens: FoundLens
    image_size: tuple[int, int]
    frame_id: str
    base_T_frame: RigidTransform
    stamps_ns: Sequence[int]


@dataclass(frozen=True)
class CheckReport:
    """The verdict on a rig.

    Attributes:
        lenses: by camera.
        mountings: of all cameras together.
        stamps: of all cameras together.
        size_problems: images of another size than declared, by camera.
    """

    lenses: Mapping[str, LensVerdict]
    mountings: MountingVerdict
    stamps: StampVerdict
    size_problems: Mapping[str, str]

    def defects(self, camera: str) -> tuple[Defect, ...]:
        """Known defects of what a camera sends."""
        return (*self.lenses[camera].defects, *self.mountings.defects)

    def problems(self, camera: str) -> list[str]:
        """Why a camera cannot be used; empty when it can."""
        texts = (
            self.size_problems.get(camera, ""),
            self.lenses[camera].problem,
            self.mountings.problems.get(camera, ""),
        )
        return [text for text in texts if text]

    def camera_text(self, camera: str) -> str:
        """The verdict on one camera in one line."""
        problems = self.problems(camera)
        if problems:
            return f"camera {camera!r} refused: {'; '.join(problems)}"
        defects = self.defects(camera)
        if not defects:
            return f"camera {camera!r} is as the rig file declares it"
        repairs = "; ".join(f"{kind.fault}: {kind.correction}" for kind in defects)
        return f"camera {camera!r} repaired: {repairs}"

    @property
    def refusal(self) -> str:
        """Why the rig cannot be used, in one line; empty when it can."""
        texts = [self.camera_text(name) for name in self.lenses if self.problems(name)]
        texts += [text for text in (self.mountings.advice, self.stamps.problem) if text]
        return "; ".join(texts)


def check_cameras(
    rig: Rig,
    found: Mapping[str, FoundCamera],
    stamp_tolerance_ns: int,
    mounted_as_rig: bool = False,
) -> CheckReport:
    """Compares every camera with the rig file.

    Args:
        rig: as the rig file declares it; what is used when nothing is refused.
        found: what was heard, of every camera of the rig.
        stamp_tolerance_ns: largest difference within a set that perception takes.
        mounted_as_rig: see check_mountings.
    """
    declared = {name: entry.base_T_camera for name, entry in rig.cameras.items()}
    mountings = {name: found[name].base_T_frame for name in rig}
    return CheckReport(
        {name: check_lens(rig[name].camera, found[name].lens) for name in rig},
        check_mountings(declared, mountings, mounted_as_rig),
        check_stamps({name: found[name].stamps_ns for name in rig}, stamp_tolerance_ns),
        _size_problems(rig, found),
    )


def _size_problems(rig: Rig, found: Mapping[str, FoundCamera]) -> dict[str, str]:
    problems = {}
    for name in rig:
        camera, (width, height) = rig[name].camera, found[name].image_size
        if (width, height) != (camera.width, camera.height):
            problems[name] = (
                f"images have {width}x{height} pixels, the rig file says "
                f"{camera.width}x{camera.height}"
            )
    return problems
