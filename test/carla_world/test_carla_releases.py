# SPDX-License-Identifier: Apache-2.0
"""Only what CARLA 0.9.13 has already is used, or what is asked for with hasattr first.

The names are those by which the carla packages of 0.9.13 to 0.9.16 differ, of all their classes
together (compared by importing each of them).
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("carla", reason="no carla package; its wheels are for Python 3.10 to 3.12")

import carla
from carla_double import actors, blueprints, client, images, snapshots, world

import bev_perception.carla_world

NEW_IN = {
    "0.9.14": """
        AckermannControllerSettings ApplyVehicleAckermannControl Bicycle Bus Car CustomDepth
        CustomStencil DustStorm Engine GBufferA GBufferB GBufferC GBufferD GBufferE GBufferF
        GBufferTextureID Motorcycle Rider Rollover SSAO SceneColor SceneDepth SceneStencil
        SpringArmGhost TirePuncture Train Truck VehicleAckermannControl VehicleFailureState
        Velocity accel_kd accel_ki accel_kp acceleration apply_ackermann_control
        apply_ackermann_controller_settings dust_storm get_ackermann_controller_settings
        get_failure_state global_lane_offset is_listening_gbuffer jerk listen_to_gbuffer
        set_day_night_cycle set_desired_speed speed_kd speed_ki speed_kp steer_speed
        stop_gbuffer vehicle_lane_offset
    """,
    "0.9.15": """
        disable_for_ros enable_for_ros filter_by_attribute is_enabled_for_ros
        load_world_if_different set_collisions set_replayer_ignore_spectator
        spectator_as_ego
    """,
    "0.9.16": """
        CAMEvent CAMMessage CustomV2XData CustomV2XEvent RoadMark RoadMarkOrientation
        VehicleTelemetryData WheelTelemetryData attachment_type clear_debug_shape
        clear_debug_string drag draw_hud_arrow draw_hud_box draw_hud_line draw_hud_point
        enable_gbuffers engine_rpm geolocation_to_transform get_all_road_marks
        get_all_road_marks_of_type get_bone_names get_bone_relative_transforms
        get_bone_world_transforms get_component_names get_component_relative_transform
        get_component_world_transform get_ignored_vehicles get_imui_sensor_gravity
        get_message_count get_road_marks_from_id get_socket_names
        get_socket_relative_transforms get_socket_world_transforms get_telemetry_data
        get_vehicle_bone_world_transforms get_wheel_pitch_angle heading inverse_transform
        is_rht keep_slow_lane_rule_percentage lat_force lat_slip long_force long_slip
        normalized_lat_force normalized_long_force normalized_tire_load omega power
        restore_physx_physics send set_annotations_traverse_translucency
        set_ignored_vehicles set_imui_sensor_gravity set_wheel_pitch_angle socket_name
        tire_load vector_of_wheels_telemetry
    """,
}
ROOM = Path(bev_perception.carla_world.__file__).parent


def names_of(package: Any) -> set[str]:
    """Of all classes of a package and all their public members."""
    classes = {name: kind for name, kind in vars(package).items() if inspect.isclass(kind)}
    return set(classes).union(*(vars(kind) for kind in classes.values()))


def test_no_name_that_came_later_is_used_in_the_room() -> None:
    later = {name: release for release, names in NEW_IN.items() for name in names.split()}
    found = [
        f"{path.name}:{node.lineno} {node.attr} is new in {later[node.attr]}"
        for path in ROOM.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in later
    ]
    assert not found


def test_the_double_offers_nothing_that_came_later() -> None:
    modules = (actors, blueprints, client, images, snapshots, world)
    fakes = [kind for module in modules for kind in vars(module).values() if inspect.isclass(kind)]
    offered = {name for kind in fakes if "Fake" in kind.__name__ for name in vars(kind)}
    assert "try_spawn_actor" in offered
    assert not offered & set(" ".join(NEW_IN.values()).split())


def test_the_installed_package_has_what_is_new_up_to_its_release_and_nothing_newer() -> None:
    known = names_of(carla) | names_of(carla.command)
    for release, names in NEW_IN.items():
        is_old = release <= client.CLIENT_VERSION
        assert not [name for name in names.split() if (name in known) != is_old], release
