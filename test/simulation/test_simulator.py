# SPDX-License-Identifier: Apache-2.0
"""A drive gives synchronised images, labels around the ego, and the same bytes again."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from render_helpers import mounted

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import PinholeCamera, Rig
from bev_perception.perception import frame_sets
from bev_perception.simulation.simulator import LABEL_RADIUS_M, Simulator

SEED = 11_004
RATE_HZ = 4.0


def small_rig() -> Rig:
    camera = PinholeCamera.from_field_of_view(168, 112, 100.0)
    return Rig(
        {
            name: mounted(camera, yaw_deg=yaw, pitch_deg=5.0, position=(1.0, 0.0, 1.7))
            for name, yaw in (("front", 0), ("left", 90), ("rear", 180), ("right", -90))
        }
    )


@pytest.fixture(scope="module")
def drive():
    with Simulator(SEED, small_rig(), RATE_HZ, lidar=True) as simulator:
        return [simulator.weather, *simulator.run(3)]


def test_stamps_start_at_one_second_and_keep_the_rate(drive):
    stamps = [simulated.frame_set.stamp_ns for simulated in drive[1:]]
    assert stamps == [1_000_000_000, 1_250_000_000, 1_500_000_000]


def test_every_camera_has_an_image_of_its_size_at_the_sets_stamp(drive):
    for simulated in drive[1:]:
        frames = simulated.frame_set.frames
        assert list(frames) == ["front", "left", "rear", "right"]
        for frame in frames.values():
            assert frame.stamp_ns == simulated.frame_set.stamp_ns
            assert frame.image.shape == (112, 168, 3)
            assert frame.image.std() > 10


def test_labels_are_all_objects_near_the_ego_in_its_frame(drive):
    for simulated in drive[1:]:
        map_T_base = simulated.frame_set.world_T_base
        expected = {
            state.box.object_id: state.box
            for state in simulated.state.objects
            if np.linalg.norm(state.box.center[:2] - map_T_base.translation[:2]) <= LABEL_RADIUS_M
        }
        assert {box.object_id for box in simulated.objects} == set(expected)
        assert len(expected) > 3
        for box in simulated.objects:
            np.testing.assert_allclose(
                map_T_base.apply(box.center), expected[box.object_id].center, atol=1e-6
            )


def test_visible_objects_have_pixels_and_hidden_ones_none(drive):
    for simulated in drive[1:]:
        place = {state.box.object_id: k + 1 for k, state in enumerate(simulated.state.objects)}
        pixels = np.concatenate([image.ravel() for image in simulated.rendered.ids.values()])
        for box in simulated.objects:
            assert 0.0 <= box.visibility <= 1.0
            assert (box.visibility > 0.0) == bool((pixels == place[box.object_id]).any())
        assert any(box.visibility > 0.9 for box in simulated.objects)


def test_lidar_points_come_in_base_link(drive):
    points = drive[1].scan.points
    assert len(points) > 1000
    assert -1.0 < np.percentile(points[:, 2], 5) < 0.2


def test_the_same_arguments_give_the_same_bytes(drive):
    with Simulator(SEED, small_rig(), RATE_HZ, lidar=True) as simulator:
        assert simulator.weather == drive[0]
        for simulated, before in zip(simulator.run(2), drive[1:]):
            for name, frame in simulated.frame_set.frames.items():
                np.testing.assert_array_equal(frame.image, before.frame_set.frames[name].image)
            assert [box.visibility for box in simulated.objects] == [
                box.visibility for box in before.objects
            ]


def test_a_simulator_is_a_source_of_frames_for_the_synchroniser():
    with Simulator(SEED, small_rig(), RATE_HZ) as simulator:
        sets = list(islice(frame_sets(simulator), 2))
        for frame_set in sets:
            assert len(frame_set.frames) == 4
            assert frame_set.world_T_base is not None


def test_a_rate_of_zero_is_refused():
    with pytest.raises(ConfigurationError, match="rate must be positive, got 0"):
        Simulator(SEED, small_rig(), rate_hz=0.0)
