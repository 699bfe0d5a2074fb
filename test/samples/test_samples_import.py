# SPDX-License-Identifier: Apache-2.0
"""Samples in every convention and kind of file become the bag that the drive itself gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sample_export import sample_arrays, write_drive

from bev_perception.bags import BagReader, BagWriter
from bev_perception.errors import BagError, BevError
from bev_perception.geometry import Rig
from bev_perception.samples import (
    Declaration,
    Drive,
    ImportedSample,
    find_drives,
    simple_bev_declaration,
    write_bag,
)
from bev_perception.samples.array_files import LOADER_ORDER
from bev_perception.simulation import SimulatedSet

NAMES = ("front", "left", "rear", "right")
SIMPLE_BEV = replace(simple_bev_declaration(NAMES), object_ids="stable", image_values="0..255")
CARLA = replace(
    SIMPLE_BEV, camera_axes="carla", ego_axes="carla", world_axes="carla", box_axes="carla",
    box_sizes="half", first_pixel="corner",
)  # fmt: skip

CONVENTIONS = {
    "simple_bev": (SIMPLE_BEV, "matrix"),
    "carla": (CARLA, "matrix"),
    "inverse extrinsics": (replace(SIMPLE_BEV, extrinsics="camera_T_ego"), "matrix"),
    "inverse carla extrinsics": (replace(CARLA, extrinsics="camera_T_ego"), "matrix"),
    "cameras with body axes": (replace(SIMPLE_BEV, camera_axes="body"), "matrix"),
    "optical cameras on a left-handed ego": (replace(CARLA, camera_axes="optical"), "matrix"),
    "a left-handed world only": (replace(SIMPLE_BEV, world_axes="carla"), "matrix"),
    "centimetres": (replace(CARLA, length_unit="cm"), "matrix"),
    "inverse poses": (replace(CARLA, pose="ego_T_world"), "matrix"),
    "boxes in the world": (replace(SIMPLE_BEV, box_frame="world"), "matrix"),
    "boxes in carla's world, degrees": (
        replace(CARLA, box_frame="world", box_angles="degrees"), "rpy",
    ),
    "boxes in camera 0": (replace(SIMPLE_BEV, box_frame="camera0"), "matrix"),
    "boxes in a carla camera": (replace(CARLA, box_frame="camera0"), "matrix"),
    "yaw": (SIMPLE_BEV, "yaw"),
    "carla's yaw at right-handed places": (replace(SIMPLE_BEV, box_axes="carla"), "yaw"),
    "nuscenes' order": (replace(SIMPLE_BEV, box_order="wlh"), "yaw"),
    "bottoms, half sizes": (replace(SIMPLE_BEV, box_origin="bottom", box_sizes="half"), "yaw"),
    "bgr": (replace(SIMPLE_BEV, image_channels="bgr"), "matrix"),
    "network input": (replace(SIMPLE_BEV, image_values="-0.5..0.5"), "matrix"),
    "an ego frame at the vehicle's middle": (
        replace(CARLA, ego_origin=(1.4, 0.0, 0.3)), "matrix",
    ),
}  # fmt: skip


def imported(folder: Path, says: Declaration) -> list[ImportedSample]:
    ((name, paths),) = find_drives(folder).items()
    return list(Drive(name, tuple(paths)).samples(says))


def assert_same(
    samples: Sequence[ImportedSample],
    sets: Sequence[SimulatedSet],
    rig: Rig,
    tolerance: float = 1e-6,
    exact_images: bool = True,
) -> None:
    assert len(samples) == len(sets)
    for sample, simulated in zip(samples, sets):
        original = simulated.frame_set
        assert sample.frame_set.stamp_ns == original.stamp_ns
        assert sample.rig.names == rig.names
        for name in rig.names:
            mounted = sample.rig[name].base_T_camera
            assert mounted.is_close(rig[name].base_T_camera, tolerance, tolerance), name
            np.testing.assert_allclose(
                sample.rig[name].camera.matrix, rig[name].camera.matrix, atol=100 * tolerance
            )
            if exact_images:
                np.testing.assert_array_equal(
                    sample.frame_set.frames[name].image, original.frames[name].image
                )
        pose, expected = sample.frame_set.world_T_base, original.world_T_base
        assert pose is not None
        assert expected is not None
        assert pose.is_close(expected, 10 * tolerance, tolerance)
        assert sample.objects is not None
        assert len(sample.objects) == len(simulated.objects)
        for box, truth in zip(sample.objects, simulated.objects):
            assert box.pose.is_close(truth.pose, 20 * tolerance, 10 * tolerance)
            np.testing.assert_allclose(box.size, truth.size, atol=10 * tolerance)
            assert box.object_id == truth.object_id
            assert box.visibility == pytest.approx(truth.visibility, abs=tolerance)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_convention_gives_the_drive_back(
    convention: str, drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    says, rows = CONVENTIONS[convention]
    folder = write_drive(tmp_path / "data", drive_sets[:2], rig, says, rows=rows)
    assert_same(imported(folder, says), drive_sets[:2], rig)


def test_the_bag_is_the_one_that_the_drive_itself_gives(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    sets = drive_sets[:3]
    with BagWriter(tmp_path / "original") as writer:
        for simulated in sets:
            writer.write_frame_set(simulated.frame_set, rig)
            writer.write_objects(simulated.frame_set.stamp_ns, simulated.objects)
    folder = write_drive(tmp_path / "data", sets, rig, CARLA)
    ((name, paths),) = find_drives(folder).items()
    assert write_bag(Drive(name, tuple(paths)), CARLA, tmp_path / "imported") == 3
    with BagReader(tmp_path / "original") as one, BagReader(tmp_path / "imported") as other:
        for name in rig.names:
            first, second = one.rig()[name], other.rig()[name]
            assert first.frame_id == second.frame_id
            assert first.base_T_camera.is_close(second.base_T_camera)
            np.testing.assert_allclose(first.camera.matrix, second.camera.matrix, atol=1e-9)
        for here, there in zip(one.camera_frames(), other.camera_frames(), strict=True):
            assert (here.camera, here.stamp_ns) == (there.camera, there.stamp_ns)
            np.testing.assert_array_equal(here.image, there.image)
            pose, same = one.world_T_base(here.stamp_ns), other.world_T_base(here.stamp_ns)
            assert pose is not None
            assert same is not None
            assert pose.is_close(same)
            boxes, copies = one.objects(here.stamp_ns), other.objects(here.stamp_ns)
            assert boxes is not None
            assert copies is not None
            assert [box.object_id for box in boxes] == [box.object_id for box in copies]
            assert all(a.pose.is_close(b.pose, 1e-6, 1e-6) for a, b in zip(boxes, copies))


def test_tensors_as_the_loader_gives_them(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    """18 tensors with batch and time dimensions, single precision, boxes filled up to 150."""
    says = replace(SIMPLE_BEV, image_values="0..1")
    for index, simulated in enumerate(drive_sets[:2]):
        arrays = sample_arrays(
            simulated.frame_set, rig, simulated.objects, says, dtype=np.float32, padding=150
        )
        arrays["imgs"] = arrays["imgs"].astype(np.float32)
        tensors = [torch.zeros(1, 1, 3, 8)] * len(LOADER_ORDER)
        for place, name in enumerate(LOADER_ORDER):
            if name in arrays:
                tensors[place] = torch.from_numpy(np.array(arrays[name]))[None, None]
        assert tensors[0].shape == (1, 1, 4, 3, 224, 336)
        assert tensors[8].shape == (1, 1, 150, 19)
        torch.save(tuple(tensors), tmp_path / f"{index:03d}.pt")
    samples = imported(tmp_path, says)
    stamps = [sample.frame_set.stamp_ns for sample in samples]
    assert stamps == [1_000_000_000, 1_500_000_000], "no stamps are stored, so rate_hz tells"
    assert_same(samples, drive_sets[:2], rig, tolerance=2e-6)


def test_several_moments_in_one_file(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    sets = drive_sets[:3]
    each = [sample_arrays(s.frame_set, rig, s.objects, SIMPLE_BEV, padding=150) for s in sets]
    np.savez(tmp_path / "all.npz", **{key: np.stack([a[key] for a in each]) for key in each[0]})
    assert_same(imported(tmp_path, SIMPLE_BEV), sets, rig)


def test_folders_of_pictures_with_a_shared_calibration(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    """One folder a sample: <camera>.png and sample.json; calibration.json once for the drive."""
    for index, simulated in enumerate(drive_sets[:2]):
        folder = tmp_path / f"{index:04d}"
        folder.mkdir()
        arrays = sample_arrays(simulated.frame_set, rig, simulated.objects, SIMPLE_BEV)
        for name, frame in simulated.frame_set.frames.items():
            cv2.imwrite(str(folder / f"{name}.png"), frame.image[..., ::-1])
        boxes = [
            {"center": box.center.tolist(), "size": box.size.tolist(),
             "rpy": box.pose.euler.tolist(), "label": box.label, "id": box.object_id,
             "visibility": box.visibility, "velocity": box.velocity.tolist()}
            for box in simulated.objects
        ]  # fmt: skip
        del boxes[0]["velocity"]
        sample = {"boxes": boxes, "egopose": arrays["egopose"].tolist(),
                  "stamp_s": simulated.frame_set.stamp_ns / 1e9}  # fmt: skip
        (folder / "sample.json").write_text(json.dumps(sample))
        shared = {key: arrays[key].tolist() for key in ("rots", "trans", "intrins")}
        (tmp_path / "calibration.json").write_text(json.dumps(shared))
    samples = imported(tmp_path, SIMPLE_BEV)
    assert_same(samples, drive_sets[:2], rig)
    for sample, simulated in zip(samples, drive_sets):
        for number, (box, truth) in enumerate(zip(sample.objects or (), simulated.objects)):
            assert box.label == truth.label
            expected = truth.velocity if number else np.full(3, np.nan)
            np.testing.assert_allclose(box.velocity, expected, atol=1e-6)


def test_lidar_points_come_along_in_base_link(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    folder = write_drive(tmp_path, drive_sets[:1], rig, CARLA)
    (path,) = (folder / "drive_0").iterdir()
    arrays = dict(np.load(path))
    points = np.zeros((3, 50))
    points[:, :2] = np.array([[10.0, 2.0, 0.5], [-4.0, -3.0, 1.0]]).T
    np.savez(path, **arrays, pts=points)
    (sample,) = imported(folder, CARLA)
    assert sample.points is not None
    np.testing.assert_allclose(sample.points, [[10.0, -2.0, 0.5], [-4.0, 3.0, 1.0]])


def spoilt(arrays: dict, change: str) -> dict:
    if change == "boxes":
        arrays["lrtlist_velo"] = arrays["lrtlist_velo"][:, :11]
    elif change == "cameras":
        arrays["rots"] = arrays["rots"][:3]
        arrays["trans"] = arrays["trans"][:3]
    elif change == "no images":
        del arrays["imgs"]
    elif change == "twice":
        arrays["images"] = arrays["imgs"]
    elif change == "nan":
        arrays["trans"] = arrays["trans"] * np.nan
    elif change == "only cam0_T_camXs":
        del arrays["rots"], arrays["trans"]
        arrays["cam0_T_camXs"] = np.tile(np.eye(4), (4, 1, 1))
    elif change == "values":
        arrays["imgs"] = arrays["imgs"].astype(np.float32) - 100.0
    elif change == "ids":
        arrays["tidlist"] = arrays["tidlist"][:5]
    return arrays


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("boxes", "boxes of 11 numbers; expected 19"),
        ("cameras", "4 images, but extrinsics of 3 cameras"),
        ("no images", "holds no imgs; it has egopose"),
        ("twice", "holds imgs twice, also as 'images'"),
        ("nan", "trans holds values that are not finite"),
        ("only cam0_T_camXs", "where camera 0 is on the vehicle"),
        ("values", r"pixels from -\d+ to .* but image_values says 0\.\.255"),
        ("ids", "boxes, but tidlist of 5"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    change: str, message: str, drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    simulated = drive_sets[0]
    arrays = sample_arrays(simulated.frame_set, rig, simulated.objects, SIMPLE_BEV)
    np.savez(tmp_path / "one.npz", **spoilt(arrays, change))
    with pytest.raises(BagError, match=message) as caught:
        imported(tmp_path, SIMPLE_BEV)
    assert "one.npz" in str(caught.value)


def test_a_torch_file_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    torch.save({"imgs": Path("x")}, tmp_path / "evil.pt")
    with pytest.raises(BagError, match=r"evil\.pt .*more than tensors"):
        imported(tmp_path, SIMPLE_BEV)


@pytest.mark.parametrize(
    ("what", "words"), [("trans", "mounted elsewhere"), ("intrins", "resizes")]
)
def test_samples_of_an_augmenting_loader_are_refused(
    what: str, words: str, drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    """Simple-BEV's training loader swaps cameras, resizes and crops at random."""
    folder = write_drive(tmp_path, drive_sets[:2], rig, SIMPLE_BEV)
    path = sorted((folder / "drive_0").iterdir())[1]
    arrays = dict(np.load(path))
    if what == "trans":
        arrays["trans"], arrays["rots"] = (arrays[k][[1, 0, 2, 3]] for k in ("trans", "rots"))
    else:
        arrays["intrins"][:, 0] *= 1.1
    np.savez(path, **arrays)
    with pytest.raises(BevError, match=words):
        imported(folder, SIMPLE_BEV)
