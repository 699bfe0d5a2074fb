# SPDX-License-Identifier: Apache-2.0
"""The real keyframe, put back into nuScenes' tables, leaves the import as it is in its bag."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from nuscenes_layout import Layout

from bev_perception.bags.recorded_bag import RecordedBag
from bev_perception.datasets import ShardReader
from bev_perception.datasets.nuscenes_import import NuScenesPlan, import_nuscenes
from bev_perception.datasets.outline_evidence import OutlineEvidence
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.box_arrays import BoxArrays

CATEGORIES = {
    "car": "vehicle.car", "truck": "vehicle.truck", "bus": "vehicle.bus.rigid",
    "trailer": "vehicle.trailer", "construction_vehicle": "vehicle.construction",
    "pedestrian": "human.pedestrian.adult", "motorcycle": "vehicle.motorcycle",
    "bicycle": "vehicle.bicycle", "barrier": "movable_object.barrier",
    "traffic_cone": "movable_object.trafficcone", "van": "vehicle.emergency.ambulance",
    "unknown": "animal",
}  # fmt: skip


def transform(pose: RigidTransform) -> dict[str, list[float]]:
    x, y, z, w = pose.quaternion.tolist()
    return {"translation": pose.translation.tolist(), "rotation": [w, x, y, z]}


def write_tables(bag: RecordedBag, root: Path) -> None:
    """One scene of one keyframe."""
    layout, stamp = Layout(), bag.label_stamps_ns[0]
    world_T_base = bag.world_T_base(stamp)
    log = layout.add("log", location="singapore-onenorth")
    scene = layout.add("scene", name="scene-0061", log_token=log, description="")
    sample = layout.add("sample", timestamp=stamp // 1000, scene_token=scene)
    layout.add("visibility", level="v80-100")
    rig = bag.rig()
    for image in bag.recorded_images():
        name = image.topics.name
        channel, file = f"CAM_{name.upper()}", root / f"samples/{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bag.encoded(image))
        camera = rig[name].camera
        sensor = layout.add("sensor", channel=channel, modality="camera")
        calibrated = layout.add(
            "calibrated_sensor", sensor_token=sensor, camera_intrinsic=camera.matrix.tolist(),
            **transform(rig[name].base_T_camera),
        )  # fmt: skip
        layout.add(
            "sample_data", sample_token=sample, calibrated_sensor_token=calibrated,
            ego_pose_token=layout.add("ego_pose", **transform(world_T_base)),
            filename=f"samples/{name}.jpg", timestamp=image.stamp_ns // 1000, is_key_frame=True,
            width=camera.width, height=camera.height,
        )  # fmt: skip
    for box in bag.objects(stamp):
        category = layout.add("category", name=CATEGORIES[box.label])
        length, width, height = box.size.tolist()
        layout.add(
            "sample_annotation", sample_token=sample, prev="", next="",
            size=[width, length, height],
            instance_token=layout.add("instance", category_token=category), visibility_token="",
            **transform(world_T_base @ box.pose),
        )  # fmt: skip
    (root / "v1.0-mini").mkdir()
    for table, rows in layout.tables.items():
        (root / "v1.0-mini" / f"{table}.json").write_text(json.dumps(rows))


def test_the_real_keyframe_survives_the_tables(keyframe, tmp_path):
    with RecordedBag(keyframe) as bag:
        write_tables(bag, tmp_path / "nuscenes")
        stamp = bag.label_stamps_ns[0]
        expected, points = bag.objects(stamp), bag.points(stamp)
        rig = bag.rig()
    plan = NuScenesPlan(tmp_path / "nuscenes", "v1.0-mini", tmp_path / "out", "kept", processes=1)
    import_nuscenes(plan)
    (drive,) = ShardReader(tmp_path / "out").drives
    (labelled,) = drive.sets()
    assert len(labelled.objects) == len(expected) == 68
    for box, truth in zip(labelled.objects, expected, strict=True):
        assert box.label == truth.label
        assert box.pose.is_close(truth.pose, 1e-5, 1e-6)
        assert box.contains(points).sum() == truth.contains(points).sum()  # as LiDAR sees it
    evidence = OutlineEvidence()
    images = {name: frame.image for name, frame in labelled.frame_set.frames.items()}
    evidence.add(images, drive.rig, BoxArrays.from_boxes(labelled.objects))
    assert evidence.share > 0.7  # as the images show it
    turned = rig.moved(RigidTransform.from_euler(pitch=np.radians(2.0)))
    wrong = OutlineEvidence()
    wrong.add(images, turned, BoxArrays.from_boxes(labelled.objects))
    assert wrong.share < 0.5
    assert "are mountings, stamps and labels of this drive?" in wrong.note()
