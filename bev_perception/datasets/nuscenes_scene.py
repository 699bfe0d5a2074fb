# SPDX-License-Identifier: Apache-2.0
"""One scene of nuScenes in our conventions.

nuScenes' ego frame lies on the ground below the rear axle, x forward, y left, z up: base_link as
it is. Boxes are where they were at the keyframe, which is the LiDAR's time; the cameras took
their images some tens of milliseconds before or after, from where the vehicle was then.
``corrected`` mountings put every camera where it was at its own time, seen from base_link at the
keyframe; ``kept`` ones are the calibration, as published results use them. What moved by itself
in that time is not corrected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.nuscenes_tables import NuScenesTables, Row
from bev_perception.errors import DatasetError
from bev_perception.geometry import ObjectBox, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.box_arrays import BoxArrays
from bev_perception.geometry.class_names import object_class
from bev_perception.untrusted import inside

CHANNELS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT",
            "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")  # fmt: skip
REFERENCE = "LIDAR_TOP"

VISIBILITY_SHARES = {"v0-40": 0.2, "v40-60": 0.5, "v60-80": 0.7, "v80-100": 0.9}
"""The middle of a level: over 0.4 are then the levels that published filters keep."""

_MICROSECONDS = 1e6
_MAX_VELOCITY_SPAN_S = 1.5
_MAX_CAMERA_DELAY_US = 50_000
"""Between a sweep of the front camera and the images of the others; they come at 12 Hz."""


@dataclass(frozen=True)
class SceneImage:
    """An image file.

    Attributes:
        path: of the file.
        stamp_ns: of its exposure.
    """

    path: str
    stamp_ns: int


@dataclass(frozen=True, eq=False)
class SceneMoment:
    """One labelled moment of a scene.

    Attributes:
        stamp_ns: of the labels.
        world_T_base: ego pose at the stamp.
        images: by camera name.
        mountings: base_T_camera by camera name.
        boxes: in base_link.
    """

    stamp_ns: int
    world_T_base: RigidTransform
    images: dict[str, SceneImage]
    mountings: dict[str, RigidTransform]
    boxes: BoxArrays


def camera_name(channel: str) -> str:
    """``front_left`` of ``CAM_FRONT_LEFT``."""
    return channel.removeprefix("CAM_").lower()


def scene_rig(tables: NuScenesTables, scene: Row) -> Rig:
    """The cameras of a scene as calibrated, in the order of CHANNELS.

    Raises:
        DatasetError: a camera is missing or not calibrated.
    """
    data = tables.sample_data(_first(tables, scene))
    cameras = {}
    for channel in CHANNELS:
        row = data.get(channel)
        if row is None:
            raise DatasetError(f"scene {scene['name']}: no {channel} at its first keyframe")
        calibrated = tables.row("calibrated_sensor", row["calibrated_sensor_token"])
        matrix = np.array(calibrated["camera_intrinsic"], dtype=np.float64)
        camera = PinholeCamera(int(row["width"]), int(row["height"]), matrix)
        mounting = tables.pose("calibrated_sensor", calibrated["token"])
        frame = f"{camera_name(channel)}_optical_frame"
        cameras[camera_name(channel)] = RigCamera(camera, mounting, frame)
    return Rig(cameras)


def scene_moments(
    tables: NuScenesTables, scene: Row, corrected: bool, sweeps: bool
) -> list[SceneMoment]:
    """All moments of a scene in the order of time.

    Args:
        tables: that the scene is of.
        scene: row of the scene.
        corrected: see the module.
        sweeps: also the moments between keyframes at which all cameras have an image, with boxes
            interpolated between them.

    Raises:
        DatasetError: the tables do not belong together.
    """
    samples = tables.samples(scene)
    tracks = _tracks(tables, samples)
    numbers = {token: number for number, token in enumerate(tracks)}
    moments = []
    for index, sample in enumerate(samples):
        data = tables.sample_data(sample)
        reference = data.get(REFERENCE) or data.get("CAM_FRONT")
        if reference is None:
            raise DatasetError(f"scene {scene['name']}: keyframe {sample['token']} has no data")
        boxes = [_box(tables, row, numbers) for row in tables.annotations(sample)]
        moments.append(_moment(tables, sample["timestamp"], reference, data, boxes, corrected))
        if sweeps and index:
            pair = samples[index - 1], sample
            before = [_box(tables, row, numbers) for row in tables.annotations(pair[0])]
            moments += _sweep_moments(tables, pair, (before, boxes), corrected)
    return sorted(moments, key=lambda moment: moment.stamp_ns)


def _first(tables: NuScenesTables, scene: Row) -> Row:
    samples = tables.samples(scene)
    if not samples:
        raise DatasetError(f"scene {scene['name']} has no keyframes")
    return samples[0]


def _tracks(tables: NuScenesTables, samples: Sequence[Row]) -> dict[str, None]:
    """Instances in the order in which they appear."""
    return dict.fromkeys(
        row["instance_token"] for sample in samples for row in tables.annotations(sample)
    )


def _moment(
    tables: NuScenesTables,
    timestamp: int,
    reference: Row,
    data: dict[str, Row],
    world_boxes: Sequence[ObjectBox],
    corrected: bool,
) -> SceneMoment:
    world_T_base = tables.pose("ego_pose", reference["ego_pose_token"])
    base_T_world = world_T_base.inverse()
    images, mountings = {}, {}
    for channel in CHANNELS:
        row = data.get(channel)
        if row is None:
            continue
        name = camera_name(channel)
        path = inside(tables.root, row["filename"], "filename")
        images[name] = SceneImage(str(path), int(row["timestamp"]) * 1000)
        ego_T_camera = tables.pose("calibrated_sensor", row["calibrated_sensor_token"])
        if corrected:
            world_T_ego = tables.pose("ego_pose", row["ego_pose_token"])
            mountings[name] = base_T_world @ world_T_ego @ ego_T_camera
        else:
            mountings[name] = ego_T_camera
    boxes = BoxArrays.from_boxes(world_boxes).transformed(base_T_world)
    return SceneMoment(timestamp * 1000, world_T_base, images, mountings, boxes)


def _sweep_moments(
    tables: NuScenesTables,
    samples: tuple[Row, Row],
    boxes: tuple[Sequence[ObjectBox], Sequence[ObjectBox]],
    corrected: bool,
) -> list[SceneMoment]:
    """One for every image of the front camera between two keyframes that all cameras are near."""
    start_us, stop_us = (sample["timestamp"] for sample in samples)
    sweeps = tables.sweeps(samples[1])
    rows = {channel: list(sweeps.get(channel, ())) for channel in CHANNELS}
    for sample in samples:
        for channel, row in tables.sample_data(sample).items():
            if channel in rows:
                rows[channel].append(row)
    moments = []
    for front in sweeps.get("CAM_FRONT", ()):
        own_us = front["timestamp"]
        if not start_us < own_us < stop_us:
            continue
        near = {
            channel: min(own, key=lambda row: abs(row["timestamp"] - own_us))
            for channel, own in rows.items()
            if own
        }
        late_us = [abs(row["timestamp"] - own_us) for row in near.values()]
        if len(near) < len(CHANNELS) or max(late_us) > _MAX_CAMERA_DELAY_US:
            continue
        found = _between(*boxes, (own_us - start_us) / _MICROSECONDS,
                         (stop_us - own_us) / _MICROSECONDS)  # fmt: skip
        moments.append(_moment(tables, own_us, front, near, found, corrected))
    return moments


def _between(
    before: Sequence[ObjectBox],
    after: Sequence[ObjectBox],
    since_s: float,
    until_s: float,
) -> list[ObjectBox]:
    """The boxes of either keyframe, at a moment between them.

    Those of both are interpolated. Those of one are moved on with their velocity; what becomes of
    them is not known in the half further away, nor anywhere without a velocity: there they are
    hidden (visibility 0), so that their cells are taught as neither occupied nor free.
    """
    earlier, later = ({box.object_id: box for box in boxes} for boxes in (before, after))
    found = []
    for box in after:
        first = earlier.get(box.object_id)
        if first is None:
            found.append(_moved(box, -until_s, is_near=until_s < since_s))
        else:
            pose = first.pose.interpolate(box.pose, since_s / (since_s + until_s))
            visibility = min(box.visibility, first.visibility)
            found.append(replace(box, pose=pose, visibility=visibility))
    gone = [box for box in before if box.object_id not in later]
    return found + [_moved(box, since_s, is_near=since_s <= until_s) for box in gone]


def _moved(box: ObjectBox, elapsed_s: float, is_near: bool) -> ObjectBox:
    """A box some time after its label, hidden where nobody knows whether it is still there."""
    if not np.isfinite(box.velocity).all():
        return replace(box, visibility=0.0)
    place = box.pose.translation + elapsed_s * box.velocity
    pose = RigidTransform(box.pose.rotation, place)
    return replace(box, pose=pose, visibility=box.visibility if is_near else 0.0)


def _box(tables: NuScenesTables, row: Row, numbers: dict[str, int]) -> ObjectBox:
    """An annotation in the world."""
    instance = tables.row("instance", row["instance_token"])
    width, length, height = row["size"]
    return ObjectBox(
        label=object_class(tables.row("category", instance["category_token"])["name"]),
        object_id=numbers[row["instance_token"]],
        pose=tables.pose("sample_annotation", row["token"]),
        size=np.array([length, width, height], dtype=np.float64),
        velocity=_velocity(tables, row),
        visibility=_visibility(tables, row),
    )


def _visibility(tables: NuScenesTables, row: Row) -> float:
    token = row.get("visibility_token")
    if not token:
        return math.nan
    level = str(tables.row("visibility", token)["level"])
    if level not in VISIBILITY_SHARES:
        raise DatasetError(
            f"visibility level {level!r} is none of {', '.join(VISIBILITY_SHARES)}; "
            f"is this nuScenes?"
        )
    return VISIBILITY_SHARES[level]


def _velocity(tables: NuScenesTables, row: Row) -> NDArray[np.float64]:
    """Metres per second in the world from the annotations around this one; NaN if unknown.

    From the one before to the one after where there are both, which may then span twice as long.
    """
    first = tables.row("sample_annotation", row["prev"]) if row["prev"] else row
    last = tables.row("sample_annotation", row["next"]) if row["next"] else row
    times = [tables.row("sample", each["sample_token"])["timestamp"] for each in (first, last)]
    elapsed_s = (times[1] - times[0]) / _MICROSECONDS
    both = bool(row["prev"] and row["next"])
    if not 0.0 < elapsed_s <= _MAX_VELOCITY_SPAN_S * (2 if both else 1):
        return np.full(3, math.nan)
    moved = np.array(last["translation"]) - np.array(first["translation"])
    return np.asarray(moved / elapsed_s, dtype=np.float64)
