# SPDX-License-Identifier: Apache-2.0
"""A vehicle that pitches and rolls: pixels, taps, targets, output and bag mean the same place.

A white disc lies on the ground, painted into every image by projection from the world. An
engine that reports how bright the ground is stands in for the network, so that whatever the
map says has come through preparation, levelling and the lift's table.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rosbags.highlevel import AnyReader
from torch.nn import functional

from bev_perception.bags import BagWriter
from bev_perception.bags.occupancy_grids import grid_from_message
from bev_perception.datasets.preparation import ExtractionSettings, prepare_bags
from bev_perception.datasets.targets import make_targets
from bev_perception.evaluation import Evaluator
from bev_perception.geometry import (
    BODY_T_OPTICAL,
    BevGrid,
    CameraFrame,
    FrameSet,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.inference import RawOutput
from bev_perception.model import SegnetConfig
from bev_perception.model.lift import lift
from bev_perception.perception import Pipeline, PipelineSettings, Preparation

STAMP = 1_700_000_000_123_456_789
GRID = BevGrid.centered(16.0, 0.5)
CONFIG = SegnetConfig("light", (384, 576), (0.0,), GRID, 8, (8, 8, 8), (8, 8, 8), False)
POSES = {
    "nose down": RigidTransform.from_euler(0.0, np.radians(6), 2.5, (120.0, -40.0, 0.0)),
    "nose up and leaning": RigidTransform.from_euler(
        np.radians(-4), np.radians(-5), -1.2, (-7.0, 90.0, 0.0)
    ),
}
PLACES = [(5.25, 1.25), (1.25, -5.25)]
"""Of the disc: metres ahead of and left of the vehicle, on level ground."""


def make_rig() -> Rig:
    camera = PinholeCamera.from_field_of_view(640, 440, 100.0)
    mountings = {
        name: RigidTransform.from_euler(0.0, 0.1, np.radians(yaw), (0.4, 0.1, 1.6))
        for name, yaw in {"front": 0, "left": 90, "rear": 180, "right": -90}.items()
    }
    return Rig({name: RigCamera(camera, pose @ BODY_T_OPTICAL) for name, pose in mountings.items()})


def paint(entry: RigCamera, world_T_base: RigidTransform, disc: np.ndarray) -> np.ndarray:
    """Grey, white where a pixel's ray meets the ground (z = 0 of the world) within 1 m of disc."""
    camera = entry.camera
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    world_T_camera = world_T_base @ entry.base_T_camera
    rays = world_T_camera.rotate(camera.unproject(np.stack([columns, rows], axis=-1)))
    origin = world_T_camera.translation
    down = rays[..., 2] < -1e-6
    distance = np.where(down, -origin[2] / np.where(down, rays[..., 2], -1.0), np.inf)
    with np.errstate(invalid="ignore"):
        ground = origin[:2] + distance[..., None] * rays[..., :2]
        white = down & (np.linalg.norm(ground - disc[:2], axis=-1) < 1.0)
    shape = (camera.height, camera.width, 3)
    image = np.random.default_rng(0).integers(40, 51, shape, dtype=np.uint8)
    image[white] = 255
    return image


class GroundBrightness:
    """An engine: probability is the brightness of the ground, 0 for grey and 1 for white."""

    config = CONFIG

    def infer(self, images, taps) -> RawOutput:
        gray = torch.from_numpy(images[..., :1].copy()).permute(0, 3, 1, 2).float()
        bright = lift(functional.avg_pool2d(gray, 8)[None], taps)[0, 0].numpy()
        probability = np.clip((bright - 50.0) / 205.0, 0.0, 1.0).astype(np.float32)
        return RawOutput(probability, probability, np.zeros((2, *GRID.shape), np.float32))


def middle(probability: np.ndarray) -> np.ndarray:
    """Centroid in metres of what is brighter than a third."""
    weights = np.where(probability > 0.33, probability, 0.0)
    return (weights[..., None] * GRID.cell_centers).sum(axis=(0, 1)) / weights.sum()


@pytest.fixture(scope="module", params=list(POSES))
def world_T_base(request) -> RigidTransform:
    return POSES[request.param]


@pytest.fixture(scope="module", params=PLACES, ids=str)
def scene(request, world_T_base):
    """(frame set, box around the disc in base_link, the disc's place in the world)."""
    rig = make_rig()
    heading = RigidTransform.from_euler(yaw=world_T_base.yaw, translation=world_T_base.translation)
    level_box = RigidTransform.from_euler(yaw=0.4, translation=(*request.param, 0.8))
    size, velocity = np.array([3.0, 2.0, 1.6]), np.array([3.0, 0.0, 0.0])
    in_world = ObjectBox("car", 5, heading @ level_box, size, velocity, 1.0)
    disc = in_world.center * (1, 1, 0)
    frames = {
        name: CameraFrame(name, STAMP, paint(rig[name], world_T_base, disc)) for name in rig.names
    }
    return (
        FrameSet(STAMP, frames, (), world_T_base),
        in_world.transformed(world_T_base.inverse()),
        disc,
    )


def test_the_map_shows_the_disc_where_the_target_has_the_box(tmp_path, scene, world_T_base):
    frame_set, box, _ = scene
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_frame_set(frame_set, make_rig())
        writer.write_objects(STAMP, [box])
    (prepared,) = prepare_bags(
        [tmp_path / "bag"], tmp_path / "cache", ExtractionSettings(CONFIG.image_size), 1, False
    )
    sample = prepared.sample(0)
    target = make_targets(sample.objects, GRID)
    output = Pipeline(GroundBrightness(), make_rig()).process(frame_set)
    place = sample.objects[0].center[:2]
    np.testing.assert_allclose(middle(output.probability), place, atol=0.25)
    np.testing.assert_allclose(middle(target.segmentation.astype(float)), place, atol=0.15)
    in_pixels = Preparation(make_rig(), CONFIG.image_size).prepare(frame_set).images
    np.testing.assert_array_equal(sample.images, in_pixels)
    assert sample.objects[0].corners[:4, 2] == pytest.approx(0.0, abs=1e-6)


def test_output_and_labels_are_judged_in_one_frame(scene):
    frame_set, box, _ = scene
    output = Pipeline(GroundBrightness(), make_rig()).process(frame_set)
    evaluator = Evaluator()
    evaluator.update(output, [box.transformed(output.level_T_base)])
    assert evaluator.compute()["center_counts"]["within_25m"]["found"] == 1


def test_what_is_published_in_base_link_lies_where_the_disc_lies_in_the_world(
    tmp_path, scene, world_T_base
):
    """Markers through TF as it is; the grid as flat readers such as nav2 take it: by heading."""
    frame_set, _, disc = scene
    output = Pipeline(GroundBrightness(), make_rig()).process(frame_set)
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_pose(STAMP, world_T_base)
        writer.write_output(output)
    with AnyReader([tmp_path / "bag"]) as reader:
        messages = {c.topic: reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages()}
    grid = messages["/bev/probability_grid"]
    assert grid.header.frame_id == "base_link"
    origin, turn = grid.info.origin.position, grid.info.origin.orientation
    assert (turn.x, turn.y, turn.z, turn.w) == (0.0, 0.0, 0.0, 1.0)
    assert (origin.x, origin.y) == (GRID.x_min, GRID.y_min)
    values = np.asarray(grid.data, dtype=float).reshape(GRID.shape)
    values[values < 33] = 0.0
    in_grid = (values[..., None] * GRID.cell_centers).sum(axis=(0, 1)) / values.sum()
    heading = RigidTransform.from_euler(yaw=world_T_base.yaw, translation=world_T_base.translation)
    np.testing.assert_allclose(heading.apply((*in_grid, 0.0))[:2], disc[:2], atol=0.25)
    (marker,) = [m for m in messages["/bev/markers"].markers if m.action == 0]
    position = marker.pose.position
    foot = world_T_base.apply((position.x, position.y, position.z))
    np.testing.assert_allclose(foot[:2], disc[:2], atol=0.4)
    assert foot[2] == pytest.approx(PipelineSettings().object_height_m / 2, abs=0.02)


def test_a_published_map_is_read_back_as_it_was(tmp_path, scene):
    frame_set, _, _ = scene
    output = Pipeline(GroundBrightness(), make_rig()).process(frame_set)
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_output(output)
    with AnyReader([tmp_path / "bag"]) as reader:
        messages = {c.topic: reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages()}
    grid, values = grid_from_message(messages["/bev/occupancy_grid"], "/bev/occupancy_grid")
    assert grid == GRID
    np.testing.assert_array_equal(values == 100, output.probability >= 0.5)
