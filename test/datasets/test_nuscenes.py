# SPDX-License-Identifier: Apache-2.0
"""nuScenes in its official layout becomes shards; compared with the tables' own arithmetic."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from nuscenes_layout import OBJECTS, START_US, write_nuscenes
from scipy.spatial.transform import Rotation

from bev_perception.datasets import ShardReader, find_bags
from bev_perception.datasets.nuscenes_import import NuScenesPlan, import_nuscenes
from bev_perception.datasets.nuscenes_splits import VALIDATION, official_split
from bev_perception.datasets.targets import make_targets
from bev_perception.errors import DatasetError
from bev_perception.geometry import BevGrid


def matrix(row: dict[str, Any]) -> NDArray[np.float64]:
    """The homogeneous matrix of a row, from its quaternion w, x, y, z."""
    w, x, y, z = row["rotation"]
    result = np.eye(4)
    result[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
    result[:3, 3] = row["translation"]
    return result


def rows(root: Path, table: str) -> dict[str, dict[str, Any]]:
    found = json.loads((root / "v1.0-mini" / f"{table}.json").read_text())
    return {row["token"]: row for row in found}


def pixel_by_the_tables(root: Path, stamp_us: int, channel: str, point: NDArray) -> NDArray:
    """Where a point of the world is in an image, chained from the image's own rows."""
    sensors, calibrated = rows(root, "sensor"), rows(root, "calibrated_sensor")
    for row in rows(root, "sample_data").values():
        own = calibrated[row["calibrated_sensor_token"]]
        sample = rows(root, "sample")[row["sample_token"]]
        if (
            row["is_key_frame"]
            and sample["timestamp"] == stamp_us
            and sensors[own["sensor_token"]]["channel"] == channel
        ):
            world_T_camera = matrix(rows(root, "ego_pose")[row["ego_pose_token"]]) @ matrix(own)
            seen = (
                np.array(own["camera_intrinsic"])
                @ (np.linalg.inv(world_T_camera) @ [*point, 1.0])[:3]
            )
            return seen[:2] / seen[2]
    raise LookupError(channel)


@pytest.fixture(scope="module")
def nuscenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nuscenes")
    write_nuscenes(root)
    return root


def test_corrected_cameras_see_the_world_where_the_images_own_poses_put_it(nuscenes, tmp_path):
    import_nuscenes(NuScenesPlan(nuscenes, "v1.0-mini", tmp_path / "out", processes=1))
    (drive,) = ShardReader(f"{tmp_path / 'out'}:train").drives
    labelled = list(drive.sets())[1]
    assert labelled.rig is not None
    stamp_us = labelled.frame_set.stamp_ns // 1000
    assert stamp_us == START_US + 500_000
    for channel, name in (("CAM_FRONT", "front"), ("CAM_FRONT_LEFT", "front_left")):
        for box in labelled.objects[:1]:
            ours, valid = labelled.rig[name].project(box.center)
            world = labelled.frame_set.world_T_base.apply(box.center)
            expected = pixel_by_the_tables(nuscenes, stamp_us, channel, world)
            assert valid
            np.testing.assert_allclose(ours, expected, atol=1e-3)
            kept, _ = drive.rig[name].project(box.center)
            assert np.abs(kept - expected).max() > 0.2  # what the correction is for
    assert labelled.frame_set.frames["back"].stamp_ns == (stamp_us - 31_000) * 1000


def test_boxes_classes_velocities_and_visibility_are_those_of_the_tables(nuscenes, tmp_path):
    plan = NuScenesPlan(nuscenes, "v1.0-mini", tmp_path / "out", mountings="kept", processes=1)
    import_nuscenes(plan)
    (drive,) = ShardReader(f"{tmp_path / 'out'}:validation").drives
    assert drive.name == "scene-0103"
    assert drive.rig.names[1] == "front"
    assert len(drive.rig) == 6
    labelled = list(drive.sets())[1]
    assert labelled.rig is None
    assert [box.label for box in labelled.objects] == ["car", "truck", "pedestrian"]
    assert [box.visibility for box in labelled.objects] == [0.9, 0.5, 0.2]
    for box, (_, place, velocity, size, _) in zip(labelled.objects, OBJECTS):
        world = labelled.frame_set.world_T_base.apply(box.center)
        np.testing.assert_allclose(
            world, np.array(place) + 0.5 * np.array([*velocity, 0]), atol=1e-5
        )
        turned = labelled.frame_set.world_T_base.rotate(box.velocity)
        np.testing.assert_allclose(turned, [*velocity, 0], atol=1e-5)
        np.testing.assert_allclose(box.size, [size[1], size[0], size[2]])
    source = next(
        (nuscenes / "samples/CAM_FRONT").glob(f"{labelled.frame_set.stamp_ns // 1000 - 8000}*")
    )
    shard = (drive.path / "000000.tar").read_bytes()
    assert source.read_bytes() in shard


def test_sweeps_add_moments_with_boxes_in_between(nuscenes, tmp_path):
    plan = NuScenesPlan(nuscenes, "v1.0-mini", tmp_path / "out", sweeps=True, processes=1)
    manifest = import_nuscenes(plan)
    assert [drive["sets"] for drive in manifest["drives"]] == [5, 5]
    sets = list(ShardReader(tmp_path / "out").drives[0].sets())
    truck = [labelled.frame_set.world_T_base.apply(labelled.objects[1].center) for labelled in sets]
    elapsed = [(labelled.frame_set.stamp_ns / 1e3 - START_US) / 1e6 for labelled in sets]
    np.testing.assert_allclose(
        [place[0] for place in truck], 25.0 + 4.0 * np.array(elapsed), atol=1e-4
    )


def without_labels(root: Path, gone: Mapping[str, Collection[int]]) -> None:
    """Takes away a category's labels at some keyframes of every scene, and joins what is left."""
    path = root / "v1.0-mini/sample_annotation.json"
    names = {token: row["name"] for token, row in rows(root, "category").items()}
    instances, samples = rows(root, "instance"), rows(root, "sample")
    kept: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(path.read_text()):
        number = (samples[row["sample_token"]]["timestamp"] - START_US) % 60_000_000 // 500_000
        category = names[instances[row["instance_token"]]["category_token"]]
        if number not in gone.get(category, ()):
            kept.setdefault(row["instance_token"], []).append(row)
    for track in kept.values():
        for row, before, after in zip(track, [None, *track], [*track[1:], None]):
            row["prev"], row["next"] = (each["token"] if each else "" for each in (before, after))
    path.write_text(json.dumps([row for track in kept.values() for row in track]))


def test_an_object_of_one_of_two_keyframes_is_never_taught_as_free_between_them(tmp_path):
    """It moves with its velocity, and is hidden where nobody knows whether it is there."""
    write_nuscenes(tmp_path / "root")
    car, truck, pedestrian = (name for name, *_ in OBJECTS)
    without_labels(tmp_path / "root", {car: {1}, truck: {0}, pedestrian: {0, 1}})
    plan = NuScenesPlan(tmp_path / "root", "v1.0-mini", tmp_path / "out", sweeps=True, processes=1)
    import_nuscenes(plan)
    sets = list(ShardReader(tmp_path / "out").drives[0].sets())
    seen = [{box.label: box.visibility for box in each.objects} for each in sets]
    assert seen == [
        {"car": 0.9},
        {"car": 0.9, "truck": 0.0},  # 8 ms before the middle
        {"truck": 0.5},
        {"car": 0.0, "truck": 0.5, "pedestrian": 0.0},
        {"car": 0.9, "truck": 0.5, "pedestrian": 0.2},
    ]
    for number, label, place, velocity, known_s in (
        (1, "car", OBJECTS[0][1], OBJECTS[0][2], None),
        (1, "truck", OBJECTS[1][1], OBJECTS[1][2], None),
        (3, "pedestrian", OBJECTS[2][1], OBJECTS[2][2], 1.0),  # where it was labelled
    ):
        frame_set = sets[number].frame_set
        (box,) = (box for box in sets[number].objects if box.label == label)
        elapsed_s = known_s or (frame_set.stamp_ns / 1e3 - START_US) / 1e6
        expected = np.array(place) + elapsed_s * np.array([*velocity, 0.0])
        np.testing.assert_allclose(frame_set.world_T_base.apply(box.center), expected, atol=1e-4)
    grid = BevGrid.centered(32.0, 0.5)
    taught = make_targets(sets[1].objects, grid)
    free = taught.valid & ~taught.segmentation
    alone = make_targets([box for box in sets[1].objects if box.label == "truck"], grid)
    assert alone.segmentation.any()
    assert not (free & alone.segmentation).any()


def test_a_sweep_that_a_camera_has_no_image_for_is_left_out(tmp_path):
    write_nuscenes(tmp_path / "root")
    path = tmp_path / "root/v1.0-mini/sample_data.json"
    data = json.loads(path.read_text())
    lost = next(row for row in data if row["filename"].startswith("sweeps/CAM_BACK/"))
    path.write_text(json.dumps([row for row in data if row is not lost]))
    plan = NuScenesPlan(tmp_path / "root", "v1.0-mini", tmp_path / "out", sweeps=True, processes=1)
    manifest = import_nuscenes(plan)
    assert [drive["sets"] for drive in manifest["drives"]] == [4, 5]
    for drive in ShardReader(tmp_path / "out").drives:
        for labelled in drive.sets():
            stamps = [frame.stamp_ns for frame in labelled.frame_set.frames.values()]
            assert len(stamps) == 6
            assert max(abs(stamp - labelled.frame_set.stamp_ns) for stamp in stamps) <= 50_000_000


def test_splits_are_the_official_ones():
    assert len(VALIDATION) == 150
    assert official_split("v1.0-trainval", "scene-0003") == "validation"
    assert official_split("v1.0-trainval", "scene-0061") == "train"
    assert official_split("v1.0-mini", "scene-0916") == "validation"
    assert official_split("v1.0-test", "scene-0077") == "test"


def test_what_is_missing_or_damaged_is_named(nuscenes, tmp_path):
    with pytest.raises(DatasetError, match=r"no folder 'v1\.0-trainval'"):
        import_nuscenes(NuScenesPlan(nuscenes, "v1.0-trainval", tmp_path / "a"))
    write_nuscenes(tmp_path / "copy")
    image = next((tmp_path / "copy/samples/CAM_BACK").iterdir())
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(DatasetError, match=rf"{image.name}: is no whole JPEG of 160x90"):
        import_nuscenes(NuScenesPlan(tmp_path / "copy", "v1.0-mini", tmp_path / "b", processes=1))
    assert not (tmp_path / "b/manifest.json").exists()
    (tmp_path / "copy/v1.0-mini/ego_pose.json").write_text("[{}]")
    with pytest.raises(DatasetError, match=r"ego_pose\.json: no table of nuScenes"):
        import_nuscenes(NuScenesPlan(tmp_path / "copy", "v1.0-mini", tmp_path / "c"))
    with pytest.raises(DatasetError, match="no finished data set"):
        find_bags([Path(f"{tmp_path / 'b'}:train")])


def test_a_part_that_is_published_without_labels_is_refused(tmp_path):
    write_nuscenes(tmp_path / "root", version="v1.0-test")
    for table in ("instance", "sample_annotation"):
        (tmp_path / f"root/v1.0-test/{table}.json").write_text("[]")
    with pytest.raises(DatasetError, match="published without labels"):
        import_nuscenes(NuScenesPlan(tmp_path / "root", "v1.0-test", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_scenes_of_other_tables_are_made_again_and_of_the_same_ones_stay(tmp_path):
    root, out = tmp_path / "root", tmp_path / "out"
    write_nuscenes(root)
    plan = NuScenesPlan(root, "v1.0-mini", out, mountings="kept", processes=1)

    def car() -> NDArray[np.float64]:
        first = next(iter(ShardReader(out).drives[0].sets()))
        return first.frame_set.world_T_base.apply(first.objects[0].center)

    import_nuscenes(plan)
    before, written = car(), (out / "drives/scene-0061/drive.json").stat().st_mtime_ns
    import_nuscenes(plan)
    assert (out / "drives/scene-0061/drive.json").stat().st_mtime_ns == written
    table = root / "v1.0-mini/sample_annotation.json"
    moved = json.loads(table.read_text())
    for row in moved:
        row["translation"][0] += 1.0
    table.write_text(json.dumps(moved))
    import_nuscenes(plan)
    np.testing.assert_allclose(car() - before, [1.0, 0.0, 0.0], atol=1e-6)
