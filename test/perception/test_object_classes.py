# SPDX-License-Identifier: Apache-2.0
"""Objects get the class that the segmentation gives to their cells."""

from __future__ import annotations

import numpy as np

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
from bev_perception.geometry.class_sets import ROAD_USERS
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.inference import RawOutput
from bev_perception.model import SegnetConfig
from bev_perception.perception import Pipeline
from bev_perception.perception.object_classes import classified

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
    found = classified(objects, GRID, probability, ROAD_USERS, "van")
    assert [entry.label for entry in found] == ["van", "pedestrian", "bicycle"]
    assert [entry.object_id for entry in found] == [3, 4, 5]
    assert all((a.pose, a.score) == (b.pose, b.score) for a, b in zip(found, objects))


def test_an_object_between_cell_centres_takes_the_nearest_cell():
    tiny = box(0.0, 0.0, 0.2, 0.2, 1)
    probability = np.zeros((3, *GRID.shape), dtype=np.float32)
    probability[1] = 0.6
    assert classified([tiny], GRID, probability, ROAD_USERS, "car")[0].label == "pedestrian"
    beyond = box(30.0, 0.0, 0.2, 0.2, 1)
    assert classified([beyond], GRID, probability, ROAD_USERS, "car")[0].label == "pedestrian"


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
