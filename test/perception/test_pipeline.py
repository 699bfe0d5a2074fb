# SPDX-License-Identifier: Apache-2.0
"""The pipeline around a real, small network with random weights."""

from __future__ import annotations

import numpy as np
import pytest
from small_network import CONFIG

from bev_perception.errors import CalibrationError
from bev_perception.geometry import (
    CameraFrame,
    FrameSet,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.frames import BODY_T_OPTICAL, levelled
from bev_perception.model import build_tap_table
from bev_perception.perception import Pipeline, PipelineSettings, Preparation, seen_cells

YAWS = {"front": 0.0, "left": 90.0, "rear": 180.0, "right": -90.0}


def make_rig(width: int = 192, height: int = 128, fov_deg: float = 80.0) -> Rig:
    camera = PinholeCamera.from_field_of_view(width, height, fov_deg)
    return Rig(
        {
            name: RigCamera(
                camera,
                RigidTransform.from_euler(
                    pitch=0.05, yaw=np.radians(yaw), translation=(0.0, 0.0, 1.6)
                )
                @ BODY_T_OPTICAL,
            )
            for name, yaw in YAWS.items()
        }
    )


RIG = make_rig()


def make_set(
    rig: Rig = RIG,
    without: tuple[str, ...] = (),
    pose: RigidTransform | None = None,
    stamp_ns: int = 1_000,
    seed: int = 0,
) -> FrameSet:
    rng = np.random.default_rng(seed)
    frames = {}
    for name in rig.names:
        camera = rig[name].camera
        image = rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        if name not in without:
            frames[name] = CameraFrame(name, stamp_ns, image)
    return FrameSet(stamp_ns, frames, without, pose)


def test_the_output_has_the_grids_shape_and_names_every_stage(engine):
    output = Pipeline(engine, RIG).process(make_set())
    shape = CONFIG.grid.shape
    assert output.stamp_ns == 1_000
    assert output.grid == CONFIG.grid
    assert output.probability.shape == output.center.shape == output.unknown.shape == shape
    assert output.offset.shape == (2, *shape)
    assert set(output.timings_ms) == {"prepare", "table", "engine", "objects", "total"}
    stages = [value for name, value in output.timings_ms.items() if name != "total"]
    assert output.timings_ms["total"] == pytest.approx(sum(stages))
    assert all(output.health[name].ok for name in RIG.names)


def test_it_is_the_engine_on_prepared_images_and_the_levelled_table(engine):
    pose = RigidTransform.from_euler(roll=0.03, pitch=0.08, yaw=1.0, translation=(5.0, 6.0, 0.3))
    frame_set = make_set(pose=pose)
    preparation = Preparation(RIG, CONFIG.image_size)
    taps = build_tap_table(preparation.rig.moved(levelled(pose)), CONFIG)
    expected = engine.infer(preparation.prepare(frame_set).images, taps)
    exact = PipelineSettings(level_tolerance_deg=0.0)
    output = Pipeline(engine, RIG, exact).process(frame_set)
    np.testing.assert_allclose(output.probability, expected.probability, atol=1e-6)
    np.testing.assert_allclose(output.center, expected.center, atol=1e-6)
    np.testing.assert_allclose(output.offset, expected.offset, atol=1e-5)


def test_levelling_changes_the_map_of_a_pitched_vehicle_unless_switched_off(engine):
    pitched = RigidTransform.from_euler(pitch=0.1)
    flat = Pipeline(engine, RIG).process(make_set()).probability
    kept = Pipeline(engine, RIG, PipelineSettings(level=False)).process(make_set(pose=pitched))
    moved = Pipeline(engine, RIG).process(make_set(pose=pitched))
    np.testing.assert_allclose(kept.probability, flat, atol=1e-6)
    assert np.abs(moved.probability - flat).max() > 1e-3


def test_the_table_is_built_again_only_when_something_changed(engine):
    pipeline = Pipeline(engine, RIG, PipelineSettings(level_tolerance_deg=0.1))
    steps = [
        (make_set(), 1),
        (make_set(seed=1), 1),
        (make_set(pose=RigidTransform.from_euler(yaw=2.0, translation=(9.0, 0, 0))), 1),
        (make_set(pose=RigidTransform.from_euler(pitch=np.radians(0.05))), 1),
        (make_set(pose=RigidTransform.from_euler(pitch=np.radians(0.3))), 2),
        (make_set(pose=RigidTransform.from_euler(pitch=np.radians(0.35))), 2),
        (make_set(without=("left",), pose=RigidTransform.from_euler(pitch=np.radians(0.3))), 3),
    ]
    for frame_set, tables_built in steps:
        pipeline.process(frame_set)
        assert pipeline.tables_built == tables_built
    pipeline.rig = make_rig(fov_deg=70.0)
    pipeline.process(make_set(without=("left",)))
    assert pipeline.tables_built == 4


def test_what_only_a_missing_camera_sees_is_unknown(engine):
    pipeline = Pipeline(engine, RIG)
    full = pipeline.process(make_set())
    output = pipeline.process(make_set(without=("left",)))
    row, column = CONFIG.grid.to_cells((0.0, 8.0)).round().astype(int)
    assert not full.unknown[row, column]
    assert output.unknown[row, column]
    assert output.unknown[full.unknown].all()
    mirrored, _ = CONFIG.grid.to_cells((0.0, -8.0)).round().astype(int)
    assert not output.unknown[mirrored, column]
    assert output.health["left"].cause == "no image in this set"
    assert output.health["front"].ok


def test_unknown_cells_are_those_that_no_camera_sees_from_geometry(engine):
    """80 degrees of view leave wedges of 10 degrees between four cameras."""
    unknown = Pipeline(engine, RIG).process(make_set()).unknown
    for angle_deg, expected in ((45.0, True), (38.0, False), (-135.0, True), (180.0, False)):
        angle = np.radians(angle_deg)
        row, column = CONFIG.grid.to_cells(12 * np.array([np.cos(angle), np.sin(angle)]))
        assert unknown[round(row), round(column)] == expected


def test_rows_added_to_fit_the_network_do_not_count_as_seen(engine):
    """A wide image is padded; the ground just below its lower edge stays unknown."""
    rig = make_rig(width=320, height=90)
    assert Preparation(rig, CONFIG.image_size).adds_rows
    unknown = Pipeline(engine, rig).process(make_set(rig)).unknown
    seen = seen_cells(rig, CONFIG.grid, CONFIG.heights_m, [True] * 4)
    np.testing.assert_array_equal(unknown, ~seen)
    prepared = Preparation(rig, CONFIG.image_size).rig
    assert unknown.sum() > (~build_tap_table(prepared, CONFIG).seen).sum()


def test_seen_cells_agree_with_the_lifts_own_table():
    prepared = Preparation(RIG, CONFIG.image_size).rig
    present = [True, False, True, True]
    np.testing.assert_array_equal(
        seen_cells(prepared, CONFIG.grid, CONFIG.heights_m, present),
        build_tap_table(prepared, CONFIG, present).seen,
    )


def test_a_black_camera_counts_as_missing(engine):
    frame_set = make_set()
    frame_set.frames["left"].image[:] = 0
    output = Pipeline(engine, RIG).process(frame_set)
    expected = Pipeline(engine, RIG).process(make_set(without=("left",)))
    assert output.health["left"].cause == "image is black"
    np.testing.assert_array_equal(output.unknown, expected.unknown)
    np.testing.assert_allclose(output.probability, expected.probability, atol=1e-6)


def test_one_camera_of_the_wrong_size_is_left_out_and_named(engine):
    frame_set = make_set()
    wrong = CameraFrame("rear", 0, np.zeros((10, 20, 3), dtype=np.uint8))
    output = Pipeline(engine, RIG).process(FrameSet(1, {**frame_set.frames, "rear": wrong}))
    assert "20x10" in output.health["rear"].cause
    assert output.health["front"].ok


def test_a_rig_of_which_no_image_has_the_calibrated_size_is_refused(engine):
    small = make_rig(width=100, height=60)
    with pytest.raises(CalibrationError, match=r"front.*100x60.*192x128"):
        Pipeline(engine, RIG).process(make_set(small))


def test_a_set_with_a_camera_that_the_rig_lacks_is_refused_by_name(engine):
    pipeline = Pipeline(engine, RIG.subset(["front", "rear"]))
    with pytest.raises(CalibrationError, match=r"left, right.*only front, rear"):
        pipeline.process(make_set())


def test_without_any_camera_everything_is_unknown_and_nothing_is_claimed(engine):
    output = Pipeline(engine, RIG).process(make_set(without=RIG.names))
    assert output.unknown.all()
    assert not output.probability.any()
    assert output.objects == ()
    assert not any(health.ok for health in output.health.values())


def test_outputs_do_not_change_when_the_next_set_comes(engine):
    pipeline = Pipeline(engine, RIG)
    output = pipeline.process(make_set(seed=1))
    before = output.probability.copy(), output.unknown.copy()
    pipeline.process(make_set(seed=2, without=("front",)))
    np.testing.assert_array_equal(output.probability, before[0])
    np.testing.assert_array_equal(output.unknown, before[1])


def test_tracking_gives_lasting_ids(engine):
    chosen = PipelineSettings(
        track=True, occupancy_threshold=0.01, center_threshold=0.01, group_radius_m=50.0
    )
    pipeline = Pipeline(engine, RIG, chosen)
    pose = RigidTransform.identity()
    first = pipeline.process(make_set(pose=pose, stamp_ns=0)).objects
    again = pipeline.process(make_set(pose=pose, stamp_ns=10**8)).objects
    assert first
    assert [each.object_id for each in again] == [each.object_id for each in first]
    assert max(np.linalg.norm(each.velocity) for each in again) < 1e-6
