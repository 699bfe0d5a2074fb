# SPDX-License-Identifier: Apache-2.0
"""Classes, impossible bounding boxes, parked cars, and how much of a box is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.geometry import ObjectBox, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL

pytest.importorskip("carla", reason="no carla package; its wheels are for Python 3.10 to 3.12")

import carla

from bev_perception.carla_world import parked
from bev_perception.carla_world.actor_classes import actor_class, is_possible, usual_box
from bev_perception.carla_world.conversion import box_of
from bev_perception.carla_world.images import depth_from_carla
from bev_perception.carla_world.session import CarlaSession
from bev_perception.carla_world.visibility import visible_shares

Server = Callable[..., Any]


@pytest.mark.parametrize(
    ("type_id", "attributes", "label"),
    [
        ("vehicle.audi.tt", {"base_type": "car", "number_of_wheels": "4"}, "car"),
        ("vehicle.mercedes.sprinter", {"base_type": "van"}, "van"),
        ("vehicle.carlamotors.firetruck", {"base_type": "truck"}, "truck"),
        ("vehicle.new.tanker", {"base_type": "truck"}, "truck"),
        ("vehicle.tesla.cybertruck", {"base_type": "truck"}, "car"),
        ("vehicle.mitsubishi.fusorosa", {"base_type": "bus"}, "bus"),
        (
            "vehicle.kawasaki.ninja",
            {"base_type": "motorcycle", "number_of_wheels": "2"},
            "motorcycle",
        ),
        ("vehicle.bh.crossbike", {"number_of_wheels": "2"}, "bicycle"),
        ("vehicle.unheard.of", {"number_of_wheels": "2"}, "motorcycle"),
        ("vehicle.carlamotors.carlacola", {"number_of_wheels": "4"}, "truck"),
        ("vehicle.unheard.of", {}, "car"),
        ("walker.pedestrian.0042", {}, "pedestrian"),
    ],
)
def test_classes_follow_attributes_and_names(
    type_id: str, attributes: dict[str, str], label: str
) -> None:
    assert actor_class(type_id, attributes) == label


@pytest.mark.parametrize(
    "extent",
    [(0.0, 0.0, 0.0), (1.0, 0.0, 0.8), (0.9, 0.3, 250.0), (float("nan"), 0.3, 0.8)],
)
def test_impossible_boxes_are_known(extent: tuple[float, float, float]) -> None:
    box = carla.BoundingBox(carla.Location(0, 0, 0.8), carla.Vector3D(*extent))
    assert not is_possible(box_of(box))
    assert is_possible(usual_box("motorcycle"))


def test_an_impossible_box_is_replaced_and_counted(server: Server, small_rig: Rig) -> None:
    double = server()
    broken = carla.BoundingBox(carla.Location(0.0, 3.0, 0.0), carla.Vector3D(0.9, 0.0, 0.8))
    body = double.town.body

    def with_broken_box(object_id: int) -> Any:
        found = body(object_id)
        if found is None or object_id != double.town.vehicle_ids[0]:
            return found
        return type(found)(found.matrix, found.velocity, broken, found.model)

    double.town.body = with_broken_box
    with CarlaSession(CarlaSettings(vehicles=2), small_rig) as session:
        found = next(session.run())
        assert sum(session.repaired_boxes.values()) == 1
    for box in found.objects:
        assert (box.size > 0.3).all()


def test_parked_cars_count_once_and_keep_their_ids(server: Server) -> None:
    double = server()
    world = carla.Client("localhost", 2000).get_world()
    first, again = parked.parked_vehicles(world), parked.parked_vehicles(world)
    assert [box.object_id for box in first] == [box.object_id for box in again]
    assert first[0].object_id == parked.FIRST_PARKED_ID
    truth = np.array([box.center for box in double.town.parked_boxes])
    assert len(first) == len(truth)
    for box in first:
        assert np.linalg.norm(truth - box.center, axis=1).min() < 0.01
    assert all(box.size[0] >= box.size[1] for box in first)


def test_vehicles_that_are_actors_are_not_parked(server: Server) -> None:
    double = server()
    world = carla.Client("localhost", 2000).get_world()
    library = world.get_blueprint_library()
    vehicle = world.try_spawn_actor(library.find("vehicle.audi.tt"), carla.Transform())
    listed = double.town.parked
    place = vehicle.get_transform().location
    own = carla.BoundingBox(carla.Location(place.x, place.y, 0.75), carla.Vector3D(2.3, 0.9, 0.73))
    own.rotation = vehicle.get_transform().rotation
    double.town.parked = lambda tag: listed(tag) + ([own] if tag == "Car" else [])
    here = np.array([place.x, -place.y])
    found = parked.parked_vehicles(world)
    assert min(np.linalg.norm(box.center[:2] - here) for box in found) > 1.0


def test_the_single_tag_of_0_9_13_is_understood(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = server()

    class OldLabels:
        Vehicles = "Vehicles"

    boxes = [
        carla.BoundingBox(carla.Location(x, 0.0, 1.0), carla.Vector3D(*half))
        for x, half in ((0, (2.3, 0.9, 0.75)), (20, (4.2, 1.3, 1.7)), (40, (0.4, 1.1, 0.7)))
    ]
    double.town.parked = lambda tag: boxes if tag == "Vehicles" else []
    monkeypatch.setattr(carla, "CityObjectLabel", OldLabels)
    found = parked.parked_vehicles(carla.Client("localhost", 2000).get_world())
    assert [box.label for box in found] == ["car", "truck", "motorcycle"]
    assert found[2].size[0] == pytest.approx(2.2)


class Picture:
    """A raw image of a depth camera."""

    def __init__(self, bgra: np.ndarray) -> None:
        self.height, self.width = bgra.shape[:2]
        self.raw_data = memoryview(bgra.tobytes())


def test_depth_is_read_from_the_low_byte_in_red() -> None:
    bgra = np.array(
        [[[0, 0, 1, 255], [0, 1, 0, 255], [1, 0, 0, 255], [255, 255, 255, 255]]], np.uint8
    )
    unit = 1000.0 / (256**3 - 1)
    wanted = [[unit, 256 * unit, 65536 * unit, 1000.0]]
    np.testing.assert_allclose(depth_from_carla(Picture(bgra)), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("wall_from", "wall_depth", "share"),
    [(120, 5.0, 1.0), (0, 5.0, 0.0), (60, 5.0, 0.5), (0, 50.0, 0.0)],
    ids=["open", "hidden", "half", "nothing there"],
)
def test_the_visible_share_is_what_nothing_stands_before(
    wall_from: int, wall_depth: float, share: float
) -> None:
    """A box 10 m ahead fills depths 9 to 11; a wall before it covers the right of the image."""
    camera = PinholeCamera.from_field_of_view(120, 80, 90.0)
    rig = Rig({"front": RigCamera(camera, BODY_T_OPTICAL)})
    place = RigidTransform(np.eye(3), np.array([10.0, 0.0, 0.0]))
    box = ObjectBox("car", 1, place, np.array([2.0, 4.0, 2.0]))
    depth = np.full((80, 120), 9.0, dtype=np.float32)
    depth[:, wall_from:] = wall_depth
    behind = ObjectBox("car", 2, RigidTransform(np.eye(3), np.array([-10.0, 0.0, 0.0])), box.size)
    shares = visible_shares(rig, {"front": depth}, [box, behind])
    assert shares[0] == pytest.approx(share, abs=0.03)
    assert shares[1] == 0.0
