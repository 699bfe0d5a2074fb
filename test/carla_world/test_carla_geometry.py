# SPDX-License-Identifier: Apache-2.0
"""Closing the circle: from the rig, through CARLA's axes, to pixels, boxes and BEV cells.

The double draws from what it was told in CARLA's own left-handed axes. The embedded renderer
draws the same moment from the rig in base_link. Both must agree, on a vehicle that leans.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.geometry import (
    BevGrid,
    ObjectBox,
    Rig,
    RigidTransform,
    levelled,
    rasterize_polygons,
)
from bev_perception.simulation import RenderedSet, Renderer, Weather, WorldState

pytest.importorskip("carla", reason="no carla package; its wheels are for Python 3.10 to 3.12")

import carla
from carla_double import CarlaDouble, Faults, installed

from bev_perception.carla_world.base_frame import measure_base
from bev_perception.carla_world.carla_set import CarlaSet
from bev_perception.carla_world.conversion import field_of_view_deg, pose_of, transform_of
from bev_perception.carla_world.session import CarlaSession

TILT_RAD = (0.05, -0.04)
SEED = 3
GRID = BevGrid.centered(40.0, 0.4)


@dataclass(frozen=True)
class Moment:
    """One set through CARLA, and the town at that moment with what is truly seen of it."""

    found: CarlaSet
    state: WorldState
    drawn: RenderedSet
    shares: np.ndarray

    def truth(self, index: int) -> ObjectBox:
        return self.state.objects[index].box.transformed(self.state.map_T_base.inverse())


@dataclass(frozen=True)
class Drive:
    rig: Rig
    moments: list[Moment]


@pytest.fixture(scope="module")
def drive(rig: Rig) -> Drive:
    double = CarlaDouble(draw=True, town_seed=SEED, tilt_rad=TILT_RAD)
    made = []
    settings = CarlaSettings(vehicles=15, walkers=8, rate_hz=1.0, seed=4)
    with installed(double), CarlaSession(settings, rig) as session:
        for found in session.run(3):
            state = replace(double.town.visible_state(), map_T_base=double.town.map_T_base)
            made.append((found, state))
    moments = []
    with Renderer(session.rig, double.town.town.static_mesh, Weather(), SEED) as renderer:
        for found, state in made:
            drawn = renderer.render(state)
            shares = renderer.visibility(state, drawn, range(len(state.objects)))
            moments.append(Moment(found, state, drawn, shares))
    return Drive(session.rig, moments)


def pairs(moment: Moment) -> list[tuple[int, ObjectBox]]:
    """(index in the town's state, box through CARLA) of everything within 74 m."""
    centers = np.array([box.center for box in moment.found.objects])
    found = []
    for index in range(len(moment.state.objects)):
        center = moment.truth(index).center
        if np.linalg.norm(center[:2]) < 74.0:
            distances = np.linalg.norm(centers - center, axis=1)
            found.append((index, moment.found.objects[int(distances.argmin())]))
    return found


def test_the_ego_pose_is_the_towns_and_leans(drive: Drive) -> None:
    for moment in drive.moments:
        pose = moment.found.frame_set.world_T_base
        assert pose is not None
        assert pose.is_close(moment.state.map_T_base, 1e-3, 1e-4)
    roll, pitch, _ = pose.euler
    assert (roll, pitch) == pytest.approx(TILT_RAD, abs=1e-3)


def test_every_pixel_is_where_the_rig_says(drive: Drive) -> None:
    for moment in drive.moments:
        for name, frame in moment.found.frame_set.frames.items():
            difference = np.abs(frame.image.astype(int) - moment.drawn.images[name])
            assert np.median(difference) == 0.0
            assert difference.mean() < 0.3, name


def test_pixels_would_not_agree_with_a_sign_turned_round(drive: Drive) -> None:
    """The comparison above is worth something: images of other cameras are far from equal."""
    moment = drive.moments[0]
    images = {
        name: frame.image.astype(int) for name, frame in moment.found.frame_set.frames.items()
    }
    mirrored = np.abs(images["front"][:, ::-1] - moment.drawn.images["front"]).mean()
    swapped = np.abs(images["left"] - moment.drawn.images["right"]).mean()
    assert min(mirrored, swapped) > 5.0


def test_boxes_are_the_towns_own(drive: Drive) -> None:
    for moment in drive.moments:
        found = pairs(moment)
        assert len(found) > 30
        for index, box in found:
            truth = moment.truth(index)
            np.testing.assert_allclose(box.center, truth.center, atol=5e-3)
            np.testing.assert_allclose(box.size, truth.size, atol=1e-3)
            np.testing.assert_allclose(box.velocity, truth.velocity, atol=1e-3)
            heading = abs(float(box.pose.rotation[:, 0] @ truth.pose.rotation[:, 0]))
            assert heading == pytest.approx(1.0, abs=1e-4)
            assert np.abs(box.pose.rotation[:, 2] @ truth.pose.rotation[:, 2]) > 0.9999
            if truth.label != "van":  # parked vans are cars by CARLA's tags
                assert box.label == truth.label


def test_moving_boxes_face_where_the_towns_do(drive: Drive) -> None:
    """Only a parked car's front cannot be told from its tail."""
    headings = [
        float(box.pose.rotation[:, 0] @ moment.truth(index).pose.rotation[:, 0])
        for moment in drive.moments
        for index, box in pairs(moment)
        if box.object_id < 1_000_000
    ]
    assert len(headings) > 20
    assert min(headings) > 0.999


def test_labels_hold_nothing_that_is_not_there(drive: Drive) -> None:
    for moment in drive.moments:
        near = [box for box in moment.found.objects if np.linalg.norm(box.center[:2]) < 74.0]
        assert len(near) == len(pairs(moment))
        assert len({box.object_id for box in moment.found.objects}) == len(moment.found.objects)


def test_ids_are_stable_over_time(drive: Drive) -> None:
    first, last = drive.moments[0].found.objects, drive.moments[-1].found.objects
    classes = {box.object_id: box.label for box in first}
    common = [box for box in last if box.object_id in classes]
    assert len(common) > 20
    assert all(classes[box.object_id] == box.label for box in common)


def test_objects_appear_in_their_projected_boxes(drive: Drive) -> None:
    checked = 0
    for moment in drive.moments:
        for index, box in pairs(moment):
            for name, mounted in drive.rig.cameras.items():
                rows, columns = np.nonzero(moment.drawn.ids[name] == index + 1)
                pixels, valid = mounted.project(box.corners)
                if len(rows) < 20 or not valid.all():
                    continue
                checked += 1
                low, high = pixels.min(axis=0), pixels.max(axis=0)
                assert columns.min() >= low[0] - 1.0
                assert columns.max() <= high[0] + 1.0
                assert rows.min() >= low[1] - 1.0
                assert rows.max() <= high[1] + 1.0
    assert checked > 30


def test_bev_cells_are_the_towns_own(drive: Drive) -> None:
    """Labels through CARLA and the town's own boxes, both levelled, fill the same cells."""
    for moment in drive.moments:
        level_T_base = levelled(moment.state.map_T_base)
        level_T_map = level_T_base @ moment.state.map_T_base.inverse()
        truth = [entry.box.transformed(level_T_map).footprint for entry in moment.state.objects]
        found = [box.transformed(level_T_base).footprint for box in moment.found.objects]
        wanted, got = rasterize_polygons(GRID, truth), rasterize_polygons(GRID, found)
        assert wanted.sum() > 500
        assert (wanted & got).sum() / (wanted | got).sum() > 0.99


def test_what_stands_on_the_ground_lands_in_its_bev_cells(drive: Drive) -> None:
    """The lowest pixel of an object, down its ray to the ground, is a cell that its label fills."""
    checked = 0
    for moment in drive.moments:
        level_T_base = levelled(moment.state.map_T_base)
        for index, box in pairs(moment):
            for name, mounted in drive.rig.cameras.items():
                rows, columns = np.nonzero(moment.drawn.ids[name] == index + 1)
                bottom = rows.max() if len(rows) else -1
                if len(rows) < 150 or moment.shares[index] < 0.9 or bottom > 156:
                    continue
                column = float(np.median(columns[rows == bottom]))
                ray = mounted.camera.unproject(np.array([column, bottom + 0.5]))
                point = ground_point(mounted.base_T_camera, ray, box)
                if point is None or np.linalg.norm(point) > 38.0:
                    continue
                checked += 1
                own = rasterize_polygons(GRID, [box.transformed(level_T_base).footprint])
                rows_of, columns_of = np.nonzero(own)
                row, column_of = GRID.to_cells(level_T_base.apply(point)[:2])
                assert np.hypot(rows_of - row, columns_of - column_of).min() < 2.0
    assert checked > 8


def ground_point(
    base_T_camera: RigidTransform, ray: np.ndarray, box: ObjectBox
) -> np.ndarray | None:
    """Where a ray meets the plane of a box's bottom face."""
    direction, up = base_T_camera.rotate(ray), box.pose.rotation[:, 2]
    bottom = box.center - up * box.size[2] / 2.0
    along = float(up @ (bottom - base_T_camera.translation)) / float(up @ direction)
    return base_T_camera.translation + along * direction if along > 0.0 else None


def test_visibility_means_what_the_embedded_town_means(drive: Drive) -> None:
    """Measured against the exact silhouettes: the 40 % filter keeps the same objects."""
    truth = np.array([m.shares[index] for m in drive.moments for index, _ in pairs(m)])
    found = np.array([box.visibility for m in drive.moments for _, box in pairs(m)])
    seen = (truth > 0.0) | (found > 0.0)
    assert seen.sum() > 60
    assert np.abs(truth - found)[seen].mean() < 0.08
    assert np.corrcoef(truth[seen], found[seen])[0, 1] > 0.95
    assert ((truth > 0.4) == (found > 0.4)).mean() > 0.95


def test_random_poses_survive_the_way_through_carlas_transform() -> None:
    rng = np.random.default_rng(5)
    for _ in range(2000):
        roll, pitch, yaw = rng.uniform((-3.1, -1.5, -3.1), (3.1, 1.5, 3.1))
        pose = RigidTransform.from_euler(roll, pitch, yaw, rng.uniform(-300, 300, 3))
        assert pose_of(transform_of(pose)).is_close(pose, 1e-4, 1e-5)


def test_the_field_of_view_gives_back_the_focal_length(rig: Rig) -> None:
    camera = rig["front"].camera
    fov = field_of_view_deg(camera)
    assert camera.width / (2.0 * np.tan(fov * np.pi / 360.0)) == pytest.approx(camera.fx, rel=1e-6)


@pytest.mark.parametrize(
    ("unit", "remark"),
    [(100.0, ""), (0.0, "wheels"), (1.0, "wheels")],
    ids=["centimetres", "all zero", "metres"],
)
def test_base_link_is_below_the_rear_axle_or_that_is_said(unit: float, remark: str) -> None:
    double = CarlaDouble(faults=Faults(wheel_unit=unit), tilt_rad=TILT_RAD)
    with installed(double):
        world = carla.Client("localhost", 2000).get_world()
        library = world.get_blueprint_library()
        vehicle = world.try_spawn_actor(library.find("vehicle.tesla.model3"), carla.Transform())
        vehicle_T_base, said = measure_base(vehicle)
        base = pose_of(vehicle.get_transform()) @ vehicle_T_base
    tolerance = 0.25 if remark else 1e-3
    assert base.is_close(double.town.map_T_base, tolerance, 1e-4)
    assert remark in said
    assert bool(remark) == bool(said)
