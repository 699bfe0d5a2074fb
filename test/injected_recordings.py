# SPDX-License-Identifier: Apache-2.0
"""A healthy recording, and errors of our own to inject beside those of bev_perception.faults."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from bev_perception.bags import BagWriter
from bev_perception.faults import FAULTS, Choice, Delivery, Effect, Fault, Injection, Kind
from bev_perception.geometry import CameraFrame, FrameSet, Rig, RigidTransform, load_rig
from bev_perception.geometry.frames import OPTICAL_T_BODY
from bev_perception.resources import config_path

SECOND = 1_000_000_000
START_NS = 1_000 * SECOND

TO_BODY = Rotation.from_matrix(OPTICAL_T_BODY.rotation)
UP_20 = Rotation.from_euler("y", -20, degrees=True)


def small_rig() -> Rig:
    """The default rig, its images small."""
    rig = load_rig(config_path("rigs/default.yaml"))
    return Rig({name: rig[name].resized(96, 64) for name in rig.names})


def write_healthy_bag(path: Path, rig: Rig, sets: int) -> Path:
    """Cameras at 10 Hz that see noise, while the vehicle drives a gentle left curve."""
    random = np.random.default_rng(3)
    x, y = 0.0, 0.0
    with BagWriter(path) as writer:
        for index in range(sets):
            stamp, yaw = START_NS + index * SECOND // 10, 0.01 * index
            frames = {
                name: CameraFrame(name, stamp, random.integers(0, 256, (64, 96, 3), dtype=np.uint8))
                for name in rig.names
            }
            pose = RigidTransform.from_euler(yaw=yaw, translation=(x, y, 0.0))
            writer.write_frame_set(FrameSet(stamp, frames, (), pose), rig, 60)
            x, y = x + 0.5 * np.cos(yaw + 0.005), y + 0.5 * np.sin(yaw + 0.005)
    return path


def known(name: str, **choice: Any) -> Injection:
    """A fault of the library."""
    return Injection(FAULTS[name], Choice(**choice))


def own(effect: Effect, *kinds: Kind, cameras: str = "") -> Injection:
    """An effect without memory on messages of some kinds and, if named, of some cameras."""
    made = Fault("own", "", frozenset(kinds), lambda _: effect)
    return Injection(made, Choice(cameras=tuple(cameras.split())))


def edited(edit: Callable[[Any], object], *kinds: Kind, cameras: str = "") -> Injection:
    """Every message changed in place, in a copy."""

    def change(delivery: Delivery) -> tuple[Delivery]:
        message = deepcopy(delivery.message)
        edit(message)
        return (replace(delivery, message=message),)

    return own(change, *kinds, cameras=cameras)


def calibrated(edit: Callable[[Any], object], cameras: str = "front") -> Injection:
    """Every CameraInfo of a camera changed in place."""
    return edited(edit, Kind.INFO, cameras=cameras)


def mounted(edit: Callable[[Any], object], *frames: str) -> Injection:
    """Every mounting on /tf_static changed in place; default those of all cameras."""
    return _transforms(edit, Kind.STATIC_TF, frames)


def driven(edit: Callable[[Any], object]) -> Injection:
    """Every pose on /tf changed in place."""
    return _transforms(edit, Kind.TF, ())


def with_lens(model: str, *coefficients: float) -> Callable[[Any], None]:
    """A CameraInfo of another lens."""

    def edit(message: Any) -> None:
        message.distortion_model, message.d = model, np.array(coefficients)

    return edit


def turned(
    rotate: Callable[[Rotation], Rotation], move: Callable[[Any], object] = lambda _: None
) -> Callable[[Any], None]:
    """A mounting with another rotation, and its translation changed in place."""

    def edit(entry: Any) -> None:
        q = entry.transform.rotation
        q.x, q.y, q.z, q.w = rotate(Rotation.from_quat([q.x, q.y, q.z, q.w])).as_quat().tolist()
        move(entry.transform.translation)

    return edit


def _transforms(edit: Callable[[Any], object], kind: Kind, frames: tuple[str, ...]) -> Injection:
    def change(message: Any) -> None:
        for entry in message.transforms:
            if not frames or entry.child_frame_id in frames:
                edit(entry)

    return edited(change, kind)
