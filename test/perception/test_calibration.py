# SPDX-License-Identifier: Apache-2.0
"""Calibrations: made beside the one in use, tables kept, and nothing left over from before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_network import CONFIG

from bev_perception.errors import EngineError
from bev_perception.geometry import (
    CameraFrame,
    FrameSet,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.frames import BODY_T_OPTICAL, levelled
from bev_perception.inference import TorchEngine, infer
from bev_perception.model import Segnet
from bev_perception.perception import (
    Calibration,
    Pipeline,
    PipelineSettings,
    calibration,
    settled_attitude,
)

LEVEL = RigidTransform.identity()
ALL = (True, True)


def make_rig(fov_deg: float = 80.0, width: int = 96) -> Rig:
    camera = PinholeCamera.from_field_of_view(width, width * 2 // 3, fov_deg)
    mounts = {"front": 0.0, "rear": np.pi}
    return Rig(
        {
            name: RigCamera(
                camera,
                RigidTransform.from_euler(yaw=yaw, translation=(0, 0, 1.6)) @ BODY_T_OPTICAL,
            )
            for name, yaw in mounts.items()
        }
    )


def make_set(
    rig: Rig, seed: int = 0, names: tuple[str, ...] = ("front", "rear"), pitch_deg: float = 0.0
) -> FrameSet:
    random = np.random.default_rng(seed)
    frames = {}
    for name in names:
        camera = rig[name].camera
        image = random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        frames[name] = CameraFrame(name, seed, image)
    return FrameSet(seed, frames, (), RigidTransform.from_euler(pitch=np.radians(pitch_deg)))


def test_a_rig_calibrated_in_another_thread_takes_over_between_two_sets(engine):
    before, after = make_rig(80.0), make_rig(60.0)
    pipeline = Pipeline(engine, before)
    frame_set = make_set(before)
    first = pipeline.process(frame_set)
    with ThreadPoolExecutor(max_workers=1) as background:
        prepared = background.submit(pipeline.calibrate, after, frame_set).result()
    np.testing.assert_array_equal(pipeline.process(frame_set).probability, first.probability)
    assert pipeline.rig is before
    pipeline.calibration = prepared
    output = pipeline.process(frame_set)
    assert pipeline.rig is after
    expected = Pipeline(engine, after).process(frame_set)
    np.testing.assert_array_equal(output.probability, expected.probability)
    np.testing.assert_array_equal(output.unknown, expected.unknown)


@pytest.mark.parametrize("names", [("front", "rear"), ("rear",)])
def test_after_a_change_of_calibration_no_set_waits_for_a_table(engine, names):
    pipeline = Pipeline(engine, make_rig())
    frame_set = make_set(make_rig(), names=names, pitch_deg=3.0)
    pipeline.process(frame_set)
    assert pipeline.tables_built == 1
    pipeline.calibration = pipeline.calibrate(make_rig(70.0), like=frame_set)
    pipeline.process(replace(frame_set, stamp_ns=1))
    assert pipeline.tables_built == 1


def test_a_first_calibration_expects_all_cameras_on_level_ground(engine):
    pipeline = Pipeline(engine, make_rig())
    pipeline.calibration = pipeline.calibrate(make_rig())
    pipeline.process(make_set(make_rig()))
    assert pipeline.tables_built == 0


def test_cameras_of_another_size_or_number_can_take_over(engine):
    pipeline = Pipeline(engine, make_rig())
    pipeline.process(make_set(make_rig()))
    larger = make_rig(width=192).subset(["rear"])
    pipeline.calibration = pipeline.calibrate(larger, like=make_set(make_rig()))
    output = pipeline.process(make_set(larger, names=("rear",)))
    assert list(output.health) == ["rear"]
    assert output.health["rear"].ok


def test_thresholds_hold_from_the_next_set_on(engine):
    low = PipelineSettings(center_threshold=0.01, occupancy_threshold=0.01, group_radius_m=50.0)
    pipeline = Pipeline(engine, make_rig(), low)
    frame_set = make_set(make_rig())
    assert pipeline.process(frame_set).objects
    pipeline.settings = replace(low, center_threshold=0.999)
    assert pipeline.process(frame_set).objects == ()
    pipeline.settings = replace(low, track=True)
    tracked = pipeline.process(frame_set).objects
    assert [each.object_id for each in tracked] == list(range(len(tracked)))


def test_a_camera_that_comes_and_goes_costs_two_tables():
    kept = Calibration(make_rig(), CONFIG)
    for _ in range(5):
        with_all = kept.table(ALL, LEVEL)
        with_one = kept.table((True, False), LEVEL)
    assert kept.tables_built == 2
    assert not with_all.unknown.all()
    assert with_one.unknown.sum() > with_all.unknown.sum()


def test_tables_are_kept_up_to_their_memory_and_the_one_not_used_longest_goes_first(monkeypatch):
    attitudes = [RigidTransform.from_euler(pitch=angle) for angle in (0.0, 0.05, 0.1)]
    kept = Calibration(make_rig(), CONFIG)
    size = kept.table(ALL, attitudes[0]).taps.num_bytes
    monkeypatch.setattr(calibration, "KEPT_BYTES", round(2.5 * size))
    kept.table(ALL, attitudes[1])
    kept.table(ALL, attitudes[0])
    kept.table(ALL, attitudes[2])
    kept.table(ALL, attitudes[0])
    assert kept.tables_built == 3
    kept.table(ALL, attitudes[1])
    assert kept.tables_built == 4
    monkeypatch.setattr(calibration, "KEPT_BYTES", 0)
    assert kept.table(ALL, attitudes[1]) is kept.table(ALL, attitudes[1])


@given(
    roll=st.floats(-0.5, 0.5),
    pitch=st.floats(-0.5, 0.5),
    yaw=st.floats(-3.0, 3.0),
    tolerance_deg=st.floats(0.01, 2.0),
)
def test_a_settled_attitude_is_within_the_tolerance_and_settles_to_itself(
    roll, pitch, yaw, tolerance_deg
):
    level_T_base = levelled(RigidTransform.from_euler(roll, pitch, yaw))
    settled = settled_attitude(level_T_base, tolerance_deg)
    assert np.degrees(settled.angle_to(level_T_base)) <= tolerance_deg * (1 + 1e-6)
    assert settled_attitude(settled, tolerance_deg).is_close(settled, radians=1e-9)


def test_without_tolerance_an_attitude_stays_as_it_is():
    attitude = RigidTransform.from_euler(0.0123, -0.0456)
    assert settled_attitude(attitude, 0.0) is attitude


def test_a_sets_map_does_not_depend_on_the_sets_before_it(engine):
    """As when the node drops sets that a run over the same bag takes."""
    sets = [make_set(make_rig(), seed, pitch_deg=0.06 * seed) for seed in range(6)]
    every, last = Pipeline(engine, make_rig()), Pipeline(engine, make_rig())
    outputs = [every.process(each) for each in sets]
    alone = last.process(sets[-1])
    np.testing.assert_array_equal(outputs[-1].probability, alone.probability)
    assert outputs[-1].level_T_base == alone.level_T_base


@pytest.mark.parametrize("lift", ["bilinear", "ground_late", "depth", "attention"])
def test_the_table_of_another_rig_is_refused_though_its_shapes_fit(lift: str) -> None:
    config = replace(CONFIG, lift=lift)
    model = Segnet(config).eval()
    engine = TorchEngine(model)
    own, other = Calibration(make_rig(80.0), config), Calibration(make_rig(80.1), config)
    leaning = levelled(RigidTransform.from_euler(pitch=0.05))
    prepared = own.preparation.prepare(make_set(own.rig))
    for attitude in (LEVEL, leaning):
        infer(engine, prepared.images, own.table(ALL, attitude).taps, rig_id=prepared.rig_id)
    with pytest.raises(EngineError, match=r"images are of rig \w{16}, .* was built for rig \w{16}"):
        infer(engine, prepared.images, other.table(ALL, LEVEL).taps, rig_id=prepared.rig_id)


def test_resize_matrices_of_another_rig_are_refused() -> None:
    engine = TorchEngine(Segnet(CONFIG).eval(), resize="graph")
    own, other = Calibration(make_rig(80.0), CONFIG), Calibration(make_rig(80.1), CONFIG)
    raw, taps = own.preparation.raw(make_set(own.rig)), own.table(ALL, LEVEL).taps
    engine.infer(raw.images, taps, own.preparation.resize)
    with pytest.raises(EngineError, match="the resize matrices are of rig"):
        engine.infer(raw.images, taps, other.preparation.resize)
