# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a rig: cameras turned, raised or lost, known to the network or not.

*Known* means that images are taken by the changed rig and that the network is told that rig. Here
every camera turns about its own optical centre, by the turn that the whole vehicle would make, so
that its image can be made exactly from the recorded one; what comes into view beyond the
recorded image is black. Another height shows other things and cannot be made from recorded
images: record drives with such a rig and give them as further bags.

*Unnoticed* means the same images with the unchanged rig: a vehicle that brakes and has no attitude.

*Unknown* means that images stay as they are and the network is told a rig that is wrong by this
much: a calibration that is wrong. A point cloud is told as wrongly as the cameras. To lifts that go
by geometry it is the same error as an unnoticed one; a network that reads depths off its images
has learned them under the true calibration and hardly looks at the one that it is told.

*Lost* cameras give no image, and the network is told so; *lost points* leave a network that takes
LiDAR or radar to its images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from bev_perception.datasets.rendered_view import render_view
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import CameraFrame, FrameSet, Rig, RigidTransform
from bev_perception.geometry.point_values import moved_points

KINDS = ("known", "unnoticed", "unknown", "lost", "lost points")
TURNED = ("known", "unnoticed")
"""Kinds whose images differ from the recorded ones."""

AS_RECORDED = ("lost", "lost points", "unnoticed")
"""Kinds that tell the network the rig that recorded."""


@dataclass(frozen=True)
class Perturbation:
    """One change of a rig.

    Attributes:
        kind: one of KINDS.
        cameras: the lost ones; none where it shall be compared what any loss changes.
        pitch_deg: of the vehicle, positive looks down.
        yaw_deg: positive looks left.
        height_m: by which cameras are higher; unknown alone.
    """

    kind: str
    cameras: tuple[str, ...] = ()
    pitch_deg: float = 0.0
    yaw_deg: float = 0.0
    height_m: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS or (self.kind != "lost" and self.cameras):
            raise ConfigurationError(f"no perturbation: {self}")
        if self.kind in TURNED and self.height_m:
            raise ConfigurationError(
                "another height cannot be made from recorded images; give drives that were "
                "recorded with such a rig"
            )

    @property
    def name(self) -> str:
        """For people, and key in results."""
        if self.kind == "lost points":
            return "without points"
        if self.kind == "lost":
            plural = "s" * (len(self.cameras) > 1)
            listed = ", ".join(self.cameras)
            return f"without camera{plural} {listed}" if listed else "with all cameras"
        parts = [
            f"{name} {value:+g}{unit}"
            for name, value, unit in (
                ("pitch", self.pitch_deg, "°"),
                ("yaw", self.yaw_deg, "°"),
                ("height", self.height_m, " m"),
            )
            if value
        ]
        return f"{', '.join(parts) or 'nothing'}, {self.kind}"

    @property
    def base_T_moved(self) -> RigidTransform:
        """Takes points of the unchanged vehicle's base_link to where the change brings them."""
        pitch, yaw = np.radians([self.pitch_deg, self.yaw_deg]).tolist()
        return RigidTransform.from_euler(0.0, pitch, yaw, (0.0, 0.0, self.height_m))


def usual_perturbations(cameras: Sequence[str], sensor: str = "none") -> tuple[Perturbation, ...]:
    """Those that ``bev evaluate --retention`` measures.

    Args:
        cameras: names of the rig's.
        sensor: what the network takes beside images, as model.sensor.
    """
    return (
        *(Perturbation("known", pitch_deg=value) for value in (-3.0, 3.0)),
        *(Perturbation("known", yaw_deg=value) for value in (-3.0, 3.0)),
        *(Perturbation("unnoticed", pitch_deg=value) for value in (-2.0, 2.0)),
        *(Perturbation("unknown", pitch_deg=value) for value in (-2.0, -1.0, 1.0, 2.0)),
        *(Perturbation("unknown", yaw_deg=value) for value in (-2.0, 2.0)),
        *(Perturbation("unknown", height_m=value) for value in (-0.2, 0.2)),
        *(Perturbation("lost", (camera,)) for camera in cameras),
        *([] if sensor == "none" else [Perturbation("lost points")]),
    )


def camera_subsets(cameras: Sequence[str]) -> tuple[Perturbation, ...]:
    """Those that ``bev evaluate --camera-subsets`` measures: all that can be lost but one camera.

    2^n - 1 of n cameras, fewest lost first; the first loses none.
    """
    return tuple(
        Perturbation("lost", lost)
        for count in range(len(cameras))
        for lost in combinations(cameras, count)
    )


def told_rig(rig: Rig, perturbation: Perturbation) -> Rig:
    """The calibration that the network is given."""
    if perturbation.kind in AS_RECORDED:
        return rig
    return _true_rig(rig, perturbation)


def _true_rig(rig: Rig, perturbation: Perturbation) -> Rig:
    """That of the images where they are turned, and a wrong one where they are not."""
    moved = perturbation.base_T_moved
    if perturbation.kind == "unknown":
        return rig.moved(moved)
    turned = {}
    for name, entry in rig.cameras.items():
        pose = entry.base_T_camera
        turn = moved.rotation @ pose.rotation
        turned[name] = replace(entry, base_T_camera=RigidTransform(turn, pose.translation))
    return Rig(turned)


def taken_set(frame_set: FrameSet, rig: Rig, perturbation: Perturbation) -> FrameSet:
    """The images and points that the network is given, from those that the rig recorded."""
    if perturbation.kind == "lost points":
        return replace(frame_set, points=None)
    if perturbation.kind in ("unknown", "unnoticed") and frame_set.points is not None:
        moved = perturbation.base_T_moved
        if perturbation.kind == "unnoticed":  # the sensor leans, and tells what it sees as level
            moved = moved.inverse()
        frame_set = replace(frame_set, points=moved_points(moved, frame_set.points))
    if perturbation.kind == "unknown":
        return frame_set
    if perturbation.kind == "lost":
        lost = perturbation.cameras
        frames = {name: frame for name, frame in frame_set.frames.items() if name not in lost}
        missing = (*frame_set.missing, *(name for name in lost if name in frame_set.frames))
        return replace(frame_set, frames=frames, missing=missing)
    true = _true_rig(rig, perturbation)
    frames = {
        name: _turned(frame, rig, true)
        for name, frame in frame_set.frames.items()
        if name in rig.cameras
    }
    return replace(frame_set, frames=frames)


def _turned(frame: CameraFrame, rig: Rig, true: Rig) -> CameraFrame:
    camera = rig[frame.camera].camera
    if frame.image.shape != (camera.height, camera.width, 3):
        return frame  # the pipeline says what is wrong with it
    old, new = rig[frame.camera].base_T_camera, true[frame.camera].base_T_camera
    old_T_new = RigidTransform(old.rotation.T @ new.rotation, np.zeros(3))
    image = np.empty_like(frame.image)
    render_view(np.ascontiguousarray(frame.image), camera, camera, old_T_new, image)
    return replace(frame, image=image)
