# SPDX-License-Identifier: Apache-2.0
"""A declaration that the data contradict is refused, and what fits is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sample_export import write_drive

from bev_perception.bags import BagReader
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig
from bev_perception.geometry.usual_mountings import name_direction
from bev_perception.perception import Synchronizer, frame_sets
from bev_perception.samples import (
    CHOICES,
    Declaration,
    Drive,
    declaration_from_mapping,
    find_drives,
    simple_bev_declaration,
)
from bev_perception.simulation import SimulatedSet

NAMES = ("front", "left", "rear", "right")
SIMPLE_BEV = replace(simple_bev_declaration(NAMES), image_values="0..255")
CARLA = replace(
    SIMPLE_BEV, camera_axes="carla", ego_axes="carla", world_axes="carla", box_axes="carla",
    box_sizes="half", first_pixel="corner", box_angles="degrees",
)  # fmt: skip
GEOMETRIC = [
    name
    for name in CHOICES
    if name not in ("first_pixel", "image_values", "image_channels", "object_ids")
]
MOMENTS = 3


def drive_in(folder: Path) -> Drive:
    ((name, paths),) = find_drives(folder).items()
    return Drive(name, tuple(paths))


@pytest.fixture(scope="module")
def simple_bev_drive(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path_factory: pytest.TempPathFactory
) -> Drive:
    folder = tmp_path_factory.mktemp("simple_bev")
    return drive_in(write_drive(folder, drive_sets, rig, SIMPLE_BEV))


@pytest.fixture(scope="module")
def carla_drive(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path_factory: pytest.TempPathFactory
) -> Drive:
    """Everything as a script on CARLA's Python interface would store it."""
    folder = tmp_path_factory.mktemp("carla")
    return drive_in(write_drive(folder, drive_sets, rig, CARLA, rows="rpy"))


def test_the_truth_stands(simple_bev_drive: Drive, carla_drive: Drive) -> None:
    for drive, says in ((simple_bev_drive, SIMPLE_BEV), (carla_drive, CARLA)):
        found = drive.investigate(says, MOMENTS)
        assert not found.contradictions
        assert found.proposal == says
        assert [finding.part for finding in found.findings] == ["cameras", "ego poses", "boxes"]


def test_boxes_without_labels_may_be_anything(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    """Called cars by default, people are too small for one."""
    people = [
        replace(each, objects=[box for box in each.objects if box.label == "pedestrian"])
        for each in drive_sets
    ]
    folder = write_drive(tmp_path, people, rig, SIMPLE_BEV)
    for path in (folder / "drive_0").iterdir():
        arrays = dict(np.load(path))
        np.savez(path, **{key: value for key, value in arrays.items() if key != "labels"})
    assert not drive_in(folder).investigate(SIMPLE_BEV, MOMENTS).contradictions


def test_without_a_declaration_the_truth_is_proposed(
    simple_bev_drive: Drive, carla_drive: Drive
) -> None:
    for drive, says in ((simple_bev_drive, SIMPLE_BEV), (carla_drive, CARLA)):
        found = drive.investigate(None, MOMENTS)
        proposed = {name: getattr(found.proposal, name) for name in CHOICES}
        assert proposed == {name: getattr(says, name) for name in CHOICES} | {
            "box_angles": proposed["box_angles"] if drive is simple_bev_drive else "degrees"
        }


def wrong_statements(truth: Declaration, has_angles: bool) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name in GEOMETRIC
        if has_angles or name != "box_angles"
        for value in CHOICES[name]
        if value != getattr(truth, name)
    ]


@pytest.mark.parametrize(("name", "value"), wrong_statements(SIMPLE_BEV, False))
def test_each_wrong_statement_about_simple_bev_data_is_refused(
    name: str, value: str, simple_bev_drive: Drive
) -> None:
    found = simple_bev_drive.investigate(replace(SIMPLE_BEV, **{name: value}), MOMENTS)
    assert found.contradictions
    assert f"{name}: {getattr(SIMPLE_BEV, name)}" in " ".join(found.contradictions)
    assert found.proposal == SIMPLE_BEV


@pytest.mark.parametrize(("name", "value"), wrong_statements(CARLA, True))
def test_each_wrong_statement_about_carla_data_is_refused(
    name: str, value: str, carla_drive: Drive
) -> None:
    found = carla_drive.investigate(replace(CARLA, **{name: value}), MOMENTS)
    assert found.contradictions
    assert found.proposal == CARLA


def test_left_handed_data_that_are_consistently_called_right_handed_are_refused(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    """Everything mirrored alike: all rotations are proper, and only names and images tell."""
    nameless = ("cam0", "cam1", "cam2", "cam3")
    truth = replace(CARLA, cameras=nameless, box_angles="radians")
    drive = drive_in(write_drive(tmp_path, drive_sets, rig, truth))
    says = replace(truth, camera_axes="body", ego_axes="body", world_axes="body", box_axes="body")
    found = drive.investigate(says, MOMENTS)
    (cameras, *_) = found.findings
    assert cameras.declared is not None
    assert all(check.value == 1.0 for check in cameras.declared.checks if check.needed)
    assert "camera_axes: carla, ego_axes: carla" in cameras.contradiction
    assert "ground in two cameras" in cameras.contradiction


def test_cameras_in_another_order_are_noticed(
    simple_bev_drive: Drive,
) -> None:
    says = replace(SIMPLE_BEV, cameras=("left", "front", "right", "rear"))
    (text,) = simple_bev_drive.investigate(says, MOMENTS).contradictions
    assert "left looks ahead (0 deg), front looks left (90 deg)" in text


def swap_left_and_right(arrays: list[dict]) -> None:
    for each in arrays:
        each["imgs"] = each["imgs"][[0, 3, 2, 1]]


def halve_focal_lengths(arrays: list[dict]) -> None:
    for each in arrays:
        each["intrins"][:, [0, 1], [0, 1]] /= 2


def take_boxes_of_later(arrays: list[dict]) -> None:
    keys = ("lrtlist_velo", "vislist", "tidlist", "scorelist", "labels")
    for each, later in zip(arrays, arrays[3:]):
        each.update({key: later[key] for key in keys})
    del arrays[-3:]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (swap_left_and_right, "outlines by camera: left .* may be another camera's"),
        (halve_focal_lengths, "may be of different cameras or moments"),
        (take_boxes_of_later, "may be of different cameras or moments"),
    ],
)
def test_what_does_not_belong_together_is_refused_however_it_is_read(
    spoil: Callable[[list[dict]], None], words: str,
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path,
) -> None:  # fmt: skip
    folder = write_drive(tmp_path, drive_sets, rig, CARLA)
    paths = sorted((folder / "drive_0").iterdir())
    arrays = [dict(np.load(path)) for path in paths]
    spoil(arrays)
    for path in paths[len(arrays) :]:
        path.unlink()
    for path, each in zip(paths, arrays):
        np.savez(path, **each)
    (told,) = drive_in(folder).investigate(CARLA, 2 * MOMENTS).contradictions
    assert re.search(words, told)
    assert "No other known reading fits either" in told


def test_an_ego_frame_that_is_not_on_the_ground_is_noticed(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    """As when boxes and extrinsics are relative to a LiDAR on the roof."""
    truth = replace(SIMPLE_BEV, ego_origin=(0.9, 0.0, 1.8))
    drive = drive_in(write_drive(tmp_path, drive_sets, rig, truth))
    assert not drive.investigate(truth, MOMENTS).contradictions
    text = " ".join(drive.investigate(SIMPLE_BEV, MOMENTS).contradictions)
    assert "camera heights" in text
    assert "No other known reading fits" in text


def test_a_principal_point_counted_from_the_corner_is_noticed(carla_drive: Drive) -> None:
    found = carla_drive.investigate(replace(CARLA, first_pixel="centre"), MOMENTS)
    assert any("is first_pixel corner?" in note for note in found.notes)


def test_what_nothing_decides_is_said(
    drive_sets: list[SimulatedSet], rig: Rig, tmp_path: Path
) -> None:
    """One camera in the vehicle's middle looks the same mirrored."""
    truth = replace(CARLA, cameras=("front",))
    sets = [replace(each, objects=()) for each in drive_sets[:3]]
    folder = write_drive(tmp_path, sets, rig.subset(["front"]), truth)
    for path in (folder / "drive_0").iterdir():
        arrays = dict(np.load(path))
        np.savez(path, **{k: v for k, v in arrays.items() if k not in ("egopose", "lrtlist_velo")})
    found = drive_in(folder).investigate(truth, MOMENTS)
    assert not found.contradictions
    notes = " | ".join(found.notes)
    assert "cameras: nothing in the data decides camera_axes, ego_axes" in notes
    assert "no egopose is stored" in notes
    assert "no boxes are stored" in notes


@pytest.mark.parametrize(
    ("name", "degrees"),
    [("front", 0), ("CAM_FRONT_LEFT", 45), ("rear_camera", 180), ("CAM_BACK_RIGHT", -135),
     ("right", -90), ("cam0", None)],
)  # fmt: skip
def test_names_tell_directions(name: str, degrees: float | None) -> None:
    assert name_direction(name) == degrees


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"camera_axis": "optical"}, "unknown key 'camera_axis'; did you mean camera_axes"),
        ({"camera_axes": "left"}, "camera_axes must be optical or body or carla, got 'left'"),
        ({"cameras": ["a", "a"]}, "cameras must be different names"),
        ({"cameras": "front"}, "expected a list"),
        ({"ego_origin": [0, 0]}, r"ego_origin must be \[x, y, z\]"),
        ({"default_class": "lorry"}, "default_class must be one of"),
        ({"rate_hz": 0}, "rate_hz must lie"),
    ],
)
def test_a_declaration_is_read_strictly(changes: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        declaration_from_mapping({**SIMPLE_BEV.to_dict(), **changes}, "layout.yaml")


def test_no_convention_is_left_to_a_default() -> None:
    values = SIMPLE_BEV.to_dict()
    del values["extrinsics"], values["box_frame"]
    with pytest.raises(ConfigurationError, match=r"does not say: extrinsics .*, box_frame"):
        declaration_from_mapping(values, "layout.yaml")


def test_real_images_and_boxes_speak_for_what_they_are(tmp_path: Path) -> None:
    """The real keyframe, told in both conventions; of one moment, poses decide nothing."""
    keyframe = Path(__file__).parents[3] / "shared" / "data" / "nuscenes_keyframe"
    if not keyframe.is_dir():
        pytest.skip("no real keyframe at ../shared/data/nuscenes_keyframe")
    with BagReader(keyframe) as reader:
        rig = reader.rig()
        (frame_set,) = frame_sets(reader, Synchronizer(rig.names))
        objects = tuple(
            replace(box, visibility=1.0) for box in reader.objects(frame_set.stamp_ns) or ()
        )
    for number, truth in enumerate((SIMPLE_BEV, replace(CARLA, first_pixel="centre"))):
        truth = replace(truth, cameras=rig.names, box_angles="radians")
        simulated = SimpleNamespace(frame_set=frame_set, objects=objects)
        drive = drive_in(write_drive(tmp_path / str(number), [simulated], rig, truth))
        assert not drive.investigate(truth, MOMENTS).contradictions
        for name, value in wrong_statements(truth, has_angles=False):
            if name != "pose":
                found = drive.investigate(replace(truth, **{name: value}), MOMENTS)
                assert found.contradictions, (name, value)
                assert found.proposal == truth
