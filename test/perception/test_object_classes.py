# SPDX-License-Identifier: Apache-2.0
"""Objects get the class that the segmentation gives to their cells."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.datasets.targets import TargetSettings, make_targets
from bev_perception.geometry import (
    BevGrid,
    CameraFrame,
    FrameSet,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.class_map import ClassMap
from bev_perception.geometry.class_sets import ROAD_USERS
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.rasterize import cells_in_convex_polygon
from bev_perception.inference import RawOutput
from bev_perception.model import SegnetConfig
from bev_perception.perception import Pipeline
from bev_perception.perception.object_classes import classified
from bev_perception.perception.objects import find_objects, instance_map

GRID = BevGrid.centered(10.0, 0.5)


def box(x, y, length, width, number):
    pose = RigidTransform.from_euler(yaw=0.3, translation=(x, y, 0.8))
    return ObjectBox("car", number, pose, np.array([length, width, 1.6]), score=0.7)


def test_each_object_gets_the_likeliest_class_of_its_cells():
    objects = [box(-5, -5, 4.5, 1.9, 3), box(5, 5, 0.8, 0.8, 4), box(5, -5, 2.0, 0.9, 5)]
    probability = np.full((3, *GRID.shape), 0.1, dtype=np.float32)
    for number, entry in enumerate(objects):
        near = np.linalg.norm(GRID.cell_centers - entry.center[:2], axis=-1) < 1.5
        probability[number][near] = 0.8
    found = classified(objects, GRID, ClassMap(probability, ROAD_USERS), "van")
    assert [entry.label for entry in found] == ["van", "pedestrian", "bicycle"]
    assert [entry.object_id for entry in found] == [3, 4, 5]
    assert all((a.pose, a.score) == (b.pose, b.score) for a, b in zip(found, objects))


def test_an_object_between_cell_centres_takes_the_nearest_cell():
    tiny = box(0.0, 0.0, 0.2, 0.2, 1)
    probability = np.zeros((3, *GRID.shape), dtype=np.float32)
    probability[1] = 0.6
    class_map = ClassMap(probability, ROAD_USERS)
    assert classified([tiny], GRID, class_map, "car")[0].label == "pedestrian"
    beyond = box(30.0, 0.0, 0.2, 0.2, 1)
    assert classified([beyond], GRID, class_map, "car")[0].label == "pedestrian"


def two_peaks(apart_m, group):
    """Maps of two objects of one group, this far apart, the second one a little less sure."""
    places = np.array([[0.0, -apart_m / 2], [0.0, apart_m / 2]])
    distances = np.linalg.norm(FINE.cell_centers[None] - places[:, None, None], axis=-1)
    probability = np.zeros((3, *FINE.shape), dtype=np.float32)
    probability[ROAD_USERS.index(group)][distances.min(axis=0) < 0.55] = 0.9
    center = np.max([[1.0], [0.95]] * np.exp(-((distances / 0.15) ** 2)).reshape(2, -1), axis=0)
    nearest = places[distances.argmin(axis=0)]
    offset = np.moveaxis(nearest - FINE.cell_centers, -1, 0).astype(np.float32)
    maps = probability.max(axis=0), center.reshape(FINE.shape).astype(np.float32), offset
    return maps, ClassMap(probability, ROAD_USERS)


FINE = BevGrid.centered(4.0, 0.1)


@pytest.mark.parametrize(
    ("group", "apart_m", "count"),
    [
        ("pedestrian", 0.7, 2),
        ("pedestrian", 0.45, 1),
        ("two_wheeler", 0.7, 1),
        ("two_wheeler", 1.1, 2),
        ("vehicle", 1.1, 1),
        ("vehicle", 1.7, 2),
    ],
)
def test_how_close_two_objects_may_be_depends_on_what_they_are(group, apart_m, count):
    maps, class_map = two_peaks(apart_m, group)
    assert len(find_objects(FINE, *maps, class_map=class_map)) == count
    instances = instance_map(FINE, *maps, class_map=class_map)
    assert len(np.unique(instances[instances >= 0])) == count


def test_a_pedestrian_beside_a_car_stays_one():
    maps, class_map = two_peaks(1.0, "vehicle")
    left = np.broadcast_to(FINE.y_centers[:, None] > 0, FINE.shape)
    class_map.probability[1][left] = class_map.probability[0][left]
    class_map.probability[0][left] = 0.0
    found = classified(find_objects(FINE, *maps, class_map=class_map), FINE, class_map, "car")
    assert sorted(box.label for box in found) == ["car", "pedestrian"]
    assert len(find_objects(FINE, *maps)) == 1  # without classes they are one


class Crossing:
    """An engine that sees a pedestrian two metres ahead, whatever the images show."""

    config = SegnetConfig("light", (32, 48), (0.0,), GRID, 8, classes=ROAD_USERS)

    def infer(self, images, taps) -> RawOutput:
        near = np.linalg.norm(GRID.cell_centers - (2.0, 0.0), axis=-1)
        classes = np.stack([0.3 * (near < 1.2), 0.9 * (near < 1.2), 0.0 * near])
        center = np.exp(-(near**2) / 2.0).astype(np.float32)
        offset = np.moveaxis((2.0, 0.0) - GRID.cell_centers, -1, 0).astype(np.float32)
        classes = classes.astype(np.float32)
        return RawOutput(classes.max(axis=0), center, offset, classes)


def test_the_pipeline_says_what_its_objects_are():
    camera = PinholeCamera.from_field_of_view(48, 32, 90.0)
    rig = Rig({"front": RigCamera(camera, RigidTransform.identity() @ BODY_T_OPTICAL)})
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    frame_set = FrameSet(0, {"front": CameraFrame("front", 0, image)})
    output = Pipeline(Crossing(), rig).process(frame_set)
    assert [entry.label for entry in output.objects] == ["pedestrian"]
    assert output.probability.max() == np.float32(0.9)


@pytest.mark.parametrize("resolution", [0.5, 0.25])
def test_every_object_of_perfect_maps_is_found_however_small(resolution: float) -> None:
    random, grid = np.random.default_rng(0), BevGrid.centered(25.0, resolution)
    sizes = {"pedestrian": (0.6, 0.6, 1.75), "bicycle": (1.8, 0.6, 1.6), "car": (4.5, 1.9, 1.6)}
    for label, size in sizes.items():
        places = 8.0 * np.stack(np.mgrid[-2:3, -2:3], axis=-1).reshape(-1, 2)
        places = places + random.uniform(-1.0, 1.0, places.shape)
        boxes = [
            ObjectBox(
                label,
                number,
                RigidTransform.from_euler(
                    yaw=random.uniform(-3, 3), translation=(*place, size[2] / 2)
                ),
                np.array(size),
            )
            for number, place in enumerate(places)
        ]
        truth = make_targets(boxes, grid, TargetSettings(classes=ROAD_USERS))
        class_map = ClassMap(truth.classes.astype(np.float32), ROAD_USERS)
        maps = truth.segmentation.astype(np.float32), truth.center, truth.offset
        found = find_objects(grid, *maps, class_map=class_map)
        drawn = [box for box in boxes if len(cells_in_convex_polygon(grid, box.footprint)[0])]
        assert len(found) == len(drawn) > 20
