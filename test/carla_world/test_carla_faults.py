# SPDX-License-Identifier: Apache-2.0
"""Everything that goes wrong with a server: said in words, ended cleanly, no actor left."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.errors import CarlaError
from bev_perception.geometry import Rig

pytest.importorskip("carla", reason="no carla package; its wheels are for Python 3.10 to 3.12")

import carla
from carla_double import CarlaDouble, Faults

from bev_perception.carla_world.faults import (
    CameraSilentError,
    EgoLostError,
    FrameLeftOutError,
    ServerLostError,
    WorldChangedError,
)
from bev_perception.carla_world.mailbox import Mailbox
from bev_perception.carla_world.session import CarlaSession

Server = Callable[..., Any]
QUICK = CarlaSettings(vehicles=2, sensor_timeout_s=0.2, settle_s=0.1)


def is_clean(double: CarlaDouble) -> bool:
    return not double.actors and not double.violations and not double.settings.synchronous_mode


def drive(double: CarlaDouble, rig: Rig, faults: Faults) -> None:
    """Two good sets, then the faults, whose ticks count from there, then many more."""
    with CarlaSession(QUICK, rig) as session:
        sets = session.run(20)
        next(sets), next(sets)
        for name in ("dead_from", "reload_at", "ego_gone_at", "interrupt_at"):
            if getattr(faults, name) is not None:
                setattr(faults, name, getattr(faults, name) + double.ticks)
        for name in ("silent", "left_out", "slow"):
            value = getattr(faults, name)
            if value is not None:
                shifted = (value[0], value[1] + double.ticks)
                setattr(faults, name, shifted if name != "slow" else (shifted[1], value[1]))
        double.faults = faults
        for _ in sets:
            continue


def test_a_server_that_is_gone_ends_the_drive_at_once(server: Server, small_rig: Rig) -> None:
    double = server()
    with pytest.raises(ServerLostError, match="ticking the world: CARLA does not answer"):
        drive(double, small_rig, Faults(dead_from=3))
    assert double.log.unanswered <= 3  # one that failed, and one that found it gone at the end


def test_a_server_that_dies_between_two_drives_is_told_at_the_end(
    server: Server, small_rig: Rig
) -> None:
    double = server()
    session = CarlaSession(QUICK, small_rig).__enter__()
    next(session.run())
    double.faults.dead_from = 0
    with pytest.raises(ServerLostError):
        session.__exit__(None, None, None)
    assert double.log.unanswered == 1


def test_a_silent_camera_is_named_with_its_last_image(server: Server, small_rig: Rig) -> None:
    double = server()
    started = time.monotonic()
    with pytest.raises(CameraSilentError) as caught:
        drive(double, small_rig, Faults(silent=(1, 3)))
    assert f"camera 'rear' has not delivered tick {double.frame}" in str(caught.value)
    assert f"last image is that of tick {double.frame - 2}" in str(caught.value)
    assert time.monotonic() - started < 30.0
    assert is_clean(double)


def test_a_silent_depth_camera_is_named_as_such(server: Server, small_rig: Rig) -> None:
    double = server()
    with pytest.raises(CameraSilentError, match=r"'front \(depth\)'"):
        drive(double, small_rig, Faults(silent=(2, 3)))
    assert is_clean(double)


def test_no_tick_goes_on_before_every_camera_has_delivered(server: Server, small_rig: Rig) -> None:
    double = server()
    with CarlaSession(QUICK, small_rig) as session:
        sets = session.run()
        next(sets)
        double.faults.silent = (0, 0)
        before = double.ticks
        with pytest.raises(CameraSilentError):
            next(sets)
        assert double.ticks == before + QUICK.ticks_per_set


def test_a_slow_tick_is_waited_for(server: Server, small_rig: Rig) -> None:
    double = server()
    with CarlaSession(QUICK, small_rig) as session:
        double.faults.slow = (double.ticks + 1, 0.3)
        assert len(list(session.run(2))) == 2
    assert is_clean(double)


def test_a_world_that_another_client_loads_ends_the_drive_and_is_let_alone(
    server: Server, small_rig: Rig
) -> None:
    double = server()
    with pytest.raises(WorldChangedError, match="loaded or reloaded"):
        drive(double, small_rig, Faults(reload_at=3))
    assert is_clean(double)  # our synchronous mode would have frozen the new world


def test_settings_that_another_client_made_in_its_new_world_stay(
    server: Server, small_rig: Rig
) -> None:
    double = server()
    with CarlaSession(QUICK, small_rig) as session:
        double.load()
        double.settings = carla.WorldSettings(True, False, 0.01)
        with pytest.raises(WorldChangedError):
            next(session.run())
    assert double.settings.fixed_delta_seconds == pytest.approx(0.01)


def test_an_ego_that_another_client_removes_ends_the_drive(server: Server, small_rig: Rig) -> None:
    double = server()
    with pytest.raises(EgoLostError, match=r"vehicle\.tesla\.model3.*is no more"):
        drive(double, small_rig, Faults(ego_gone_at=3))
    assert is_clean(double)


def test_ctrl_c_during_a_tick_leaves_nothing_behind(server: Server, small_rig: Rig) -> None:
    double = server()
    with pytest.raises(KeyboardInterrupt):
        drive(double, small_rig, Faults(interrupt_at=3))
    assert is_clean(double)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_spawning_leaves_nothing_behind(
    server: Server, small_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = server()
    spawn = double.spawn

    def interrupted(*arguments: Any) -> Any:
        actor = spawn(*arguments)
        if double.log.spawn_calls == 4:
            signal.raise_signal(signal.SIGINT)
        return actor

    monkeypatch.setattr(double, "spawn", interrupted)
    with pytest.raises(KeyboardInterrupt), CarlaSession(QUICK, small_rig):
        pass
    assert double.log.spawn_calls == 4
    assert is_clean(double)


@pytest.mark.parametrize("call", [1, 2, 4, 6])
def test_an_error_in_the_middle_of_spawning_leaves_nothing_behind(
    server: Server, small_rig: Rig, call: int
) -> None:
    double = server(faults=Faults(spawn_fails_at=call))
    with (
        pytest.raises(CarlaError, match=r"spawning .* internal error"),
        CarlaSession(QUICK, small_rig),
    ):
        pass
    assert is_clean(double)


def test_a_limit_of_actors_gives_less_traffic_and_says_so(server: Server, small_rig: Rig) -> None:
    double = server(faults=Faults(actor_limit=6))
    with CarlaSession(QUICK, small_rig) as session:
        assert session.statistics.vehicles == 1
        assert "there was room for 1 of 2 vehicles" in session.statistics.remarks
        assert len(list(session.run(2))) == 2
    assert is_clean(double)


def test_no_room_for_a_camera_is_an_error(server: Server, small_rig: Rig) -> None:
    double = server(faults=Faults(actor_limit=2))
    with pytest.raises(CarlaError, match=r"spawns no sensor\.camera\.rgb for camera 'rear'"):
        CarlaSession(QUICK, small_rig).__enter__()
    assert is_clean(double)


def test_a_second_client_that_ticks_is_noticed(server: Server, small_rig: Rig) -> None:
    double = server(faults=Faults(other_ticks=1))
    with pytest.raises(CarlaError, match="another client ticks too"):
        CarlaSession(QUICK, small_rig).__enter__()
    assert is_clean(double)


def test_a_camera_that_is_not_where_it_was_put_is_refused(server: Server, small_rig: Rig) -> None:
    shift = np.eye(4)
    shift[0, 3] = 0.1
    double = server(faults=Faults(sensor_shift=shift))
    with pytest.raises(CarlaError, match=r"camera 'front' is 0\.100 m and 0\.00 degrees away"):
        drive(double, small_rig, Faults())
    assert is_clean(double)


def test_images_that_lag_behind_the_poses_are_told_of(server: Server, small_rig: Rig) -> None:
    server(faults=Faults(image_lag=True))
    with CarlaSession(QUICK, small_rig) as session:
        for _ in session.run(20):
            continue
        remarks = [text for text in session.statistics.remarks if "not of one moment" in text]
    assert len(remarks) == 1


def test_a_camera_that_begins_late_is_waited_for(
    server: Server, small_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = server()
    is_missing = double._is_missing
    begun = [0]

    def missing_at_first(number: int) -> bool:
        begun[0] += number == 1
        return (number == 1 and begun[0] <= 2) or is_missing(number)

    monkeypatch.setattr(double, "_is_missing", missing_at_first)
    with CarlaSession(QUICK, small_rig) as session:
        assert len(list(session.run(2))) == 2


def test_a_passive_session_goes_on_after_a_tick_that_a_camera_leaves_out(
    server: Server, small_rig: Rig
) -> None:
    double = server(ticked_by_others=True)
    settings = CarlaSettings(passive=True, rate_hz=20.0, sensor_timeout_s=0.3, settle_s=0.1)
    with CarlaSession(settings, small_rig) as session:
        sets = session.run(4)
        next(sets)
        left_out = double.frame + 1
        double.faults.left_out = (0, double.ticks + 1)
        send = double.tick
        double.tick = lambda: (send(), send())[1] if double.frame + 1 == left_out else send()
        numbers = [entry.frame_number for entry in sets]
    assert left_out not in numbers
    assert len(numbers) == 3


def test_a_mailbox_that_nobody_empties_does_not_grow() -> None:
    mailbox = Mailbox("front")
    for frame in range(1000):
        mailbox.put(carla.Timestamp(frame))
    with pytest.raises(FrameLeftOutError, match="delivered 984"):
        mailbox.receive(500, 0.0)
    assert mailbox.receive(999, 0.0).frame == 999


def test_a_mailbox_keeps_what_came_too_early() -> None:
    mailbox = Mailbox("front")
    for frame in (3, 4, 6):
        mailbox.put(carla.Timestamp(frame))
    assert mailbox.receive(4, 0.0).frame == 4
    with pytest.raises(FrameLeftOutError, match="'front' has left out tick 5 and delivered 6"):
        mailbox.receive(5, 0.0)
    assert mailbox.receive(6, 0.0).frame == 6
    with pytest.raises(CameraSilentError, match="its last image is that of tick 6"):
        mailbox.receive(7, 0.0)
    with pytest.raises(CameraSilentError, match="none at all"):
        Mailbox("rear").receive(1, 0.0)
