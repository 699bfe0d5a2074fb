# SPDX-License-Identifier: Apache-2.0
"""A drive: time, cameras, the ego vehicle, and a server that is afterwards as it was before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.errors import CarlaError
from bev_perception.geometry import PinholeCamera, Rig

pytest.importorskip("carla", reason="no carla package; its wheels are for Python 3.10 to 3.12")

import carla

from bev_perception.carla_world.session import CarlaSession

Server = Callable[..., Any]


def values_of(settings: carla.WorldSettings) -> tuple[Any, ...]:
    return settings.synchronous_mode, settings.fixed_delta_seconds, settings.no_rendering_mode


def test_all_cameras_of_a_set_have_its_tick_and_stamp(server: Server, small_rig: Rig) -> None:
    double = server()
    with CarlaSession(CarlaSettings(rate_hz=5.0), small_rig) as session:
        sets = list(session.run(3))
    assert [entry.frame_number for entry in sets] == [
        double.frame - 8,
        double.frame - 4,
        double.frame,
    ]
    stamps = [entry.frame_set.stamp_ns for entry in sets]
    np.testing.assert_array_equal(np.diff(stamps), 200_000_000)
    for entry in sets:
        assert set(entry.frame_set.frames) == {"front", "rear"}
        assert not entry.frame_set.missing
        for frame in entry.frame_set.frames.values():
            assert frame.stamp_ns == entry.frame_set.stamp_ns
            assert frame.image.shape == (16, 24, 3)
            assert frame.image.flags.c_contiguous
            assert (frame.image == 96).all()  # the buffer that carla has freed is 0xcd


def test_the_server_ticks_synchronously_meanwhile_and_is_as_before_afterwards(
    server: Server, small_rig: Rig
) -> None:
    double = server()
    double.settings.no_rendering_mode = True
    before, weather = values_of(double.settings), double.weather
    settings = CarlaSettings(vehicles=3, walkers=2, weather="HardRainNoon")
    with CarlaSession(settings, small_rig) as session:
        assert values_of(double.settings) == (True, pytest.approx(0.05), False)
        assert double.synchronous_managers == {8000}
        assert double.weather == carla.WeatherParameters.HardRainNoon
        assert (session.statistics.vehicles, session.statistics.walkers) == (3, 2)
        kinds = sorted(actor.type_id.split(".")[0] for actor in double.actors.values())
        assert kinds == ["controller"] * 2 + ["sensor"] * 4 + ["vehicle"] * 4 + ["walker"] * 2
        next(session.run())
    assert not double.actors
    assert not double.violations
    assert not double.synchronous_managers
    assert values_of(double.settings) == before
    assert double.weather == weather


def fail_in_the_middle(session: CarlaSession) -> None:
    with session:
        next(session.run())
        raise ZeroDivisionError


def test_an_error_in_between_leaves_nothing_behind(server: Server, small_rig: Rig) -> None:
    double = server()
    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle(CarlaSession(CarlaSettings(vehicles=2), small_rig))
    assert not double.actors
    assert not double.violations
    assert not double.settings.synchronous_mode


def test_a_passive_session_changes_no_settings_and_takes_whole_ticks(
    server: Server, small_rig: Rig
) -> None:
    double = server(ticked_by_others=True)
    double.settings.synchronous_mode, double.settings.fixed_delta_seconds = True, 0.02
    with CarlaSession(CarlaSettings(passive=True, rate_hz=10.0), small_rig) as session:
        sets = list(session.run(4))
        assert values_of(double.settings) == (True, pytest.approx(0.02), False)
        assert not double.synchronous_managers
    np.testing.assert_array_equal(
        np.diff([entry.frame_set.stamp_ns for entry in sets]), 100_000_000
    )
    assert values_of(double.settings) == (True, pytest.approx(0.02), False)
    assert not double.actors


def test_an_existing_ego_is_found_by_its_role_and_left_alone(
    server: Server, small_rig: Rig
) -> None:
    double = server(ticked_by_others=True)
    with CarlaSession(CarlaSettings(role_name="mine"), small_rig):
        with CarlaSession(
            CarlaSettings(ego_mode="existing", role_name="mine", passive=True), small_rig
        ) as session:
            assert len(list(session.run(2))) == 2
        assert [a.type_id for a in double.actors.values()].count("vehicle.tesla.model3") == 1
        assert len(double.actors) == 1 + 4


def test_a_missing_ego_names_the_roles_that_there_are(server: Server, small_rig: Rig) -> None:
    double = server(ticked_by_others=True)
    settings = CarlaSettings(ego_mode="existing", role_name="nobody", timeout_s=0.05)
    with (
        CarlaSession(CarlaSettings(role_name="mine"), small_rig),
        pytest.raises(CarlaError, match=r"role_name 'nobody'.*there are: mine"),
        CarlaSession(settings, small_rig),
    ):
        pass
    assert not double.actors


def test_an_unknown_blueprint_names_the_vehicles(server: Server, small_rig: Rig) -> None:
    double = server()
    with (
        pytest.raises(
            CarlaError, match=r"no blueprint 'vehicle\.tesla\.model9'.*vehicle\.audi\.tt"
        ),
        CarlaSession(CarlaSettings(ego_blueprint="vehicle.tesla.model9"), small_rig),
    ):
        pass
    assert not double.settings.synchronous_mode


def test_the_autopilot_drives_only_where_it_is_asked_to(server: Server, small_rig: Rig) -> None:
    double = server()
    for wanted in (True, False):
        with CarlaSession(CarlaSettings(autopilot=wanted, tm_port=8123), small_rig):
            assert double.ego is not None
            assert (double.autopilots.get(double.ego.id) == 8123) is wanted


def test_the_seed_decides_where_the_ego_starts(server: Server, small_rig: Rig) -> None:
    from bev_perception.carla_world.ego import _order

    orders = [_order(50, CarlaSettings(seed=seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(50))
    assert _order(50, CarlaSettings(spawn_point=7)) == [7]
    with pytest.raises(CarlaError, match="spawn_point is 50 and the town has 50"):
        _order(50, CarlaSettings(spawn_point=50))


def test_a_lens_that_carla_cannot_draw_becomes_the_nearest_and_is_told(
    server: Server, small_rig: Rig
) -> None:
    server()
    lens = PinholeCamera.from_intrinsics(
        24, 16, 12.0, 12.5, 10.0, 7.5, "plumb_bob", (-0.1, 0.01, 0.0, 0.0)
    )
    entry = small_rig["front"]
    odd = Rig({"front": type(entry)(lens, entry.base_T_camera, "f"), "rear": small_rig["rear"]})
    with CarlaSession(CarlaSettings(), odd) as session:
        drawn = session.rig["front"]
        remarks = session.statistics.remarks
    assert drawn.camera.fx == pytest.approx(12.0, abs=1e-5)
    assert drawn.camera.fy == pytest.approx(12.0, abs=1e-5)
    assert (drawn.camera.cx, drawn.camera.cy) == (11.5, 7.5)
    assert not drawn.camera.is_distorted
    assert drawn.base_T_camera == entry.base_T_camera
    assert drawn.frame_id == "f"
    assert len(remarks) == 1
    for word in ("'front'", "square", "principal point", "plumb_bob"):
        assert word in remarks[0]


def test_cameras_have_no_blur_flare_or_distortion(server: Server, small_rig: Rig) -> None:
    double = server()
    with CarlaSession(CarlaSettings(), small_rig):
        colour, *_ = double.sensors
        found = colour.attributes
    assert found["gamma"] == "2.2"
    for name in ("lens_k", "lens_kcube", "lens_circle_multiplier", "motion_blur_intensity"):
        assert float(found[name]) == 0.0
    assert float(found["lens_flare_intensity"]) == float(found["sensor_tick"]) == 0.0


def test_depth_cameras_are_mounted_only_for_visibility(server: Server, small_rig: Rig) -> None:
    double = server()
    with CarlaSession(CarlaSettings(visibility=False), small_rig) as session:
        assert [sensor.type_id for sensor in double.sensors] == ["sensor.camera.rgb"] * 2
        found = next(session.run())
    assert found.objects
    assert all(np.isnan(box.visibility) for box in found.objects)
