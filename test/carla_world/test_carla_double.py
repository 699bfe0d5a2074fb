# SPDX-License-Identifier: Apache-2.0
"""The double has nothing that CARLA's classes do not have, under the same names."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("carla", reason="no carla package; its wheels are for Python 3.10 to 3.12")

import carla
from carla_double import actors, blueprints, client, images, snapshots, world
from carla_double.left_handed import actor_matrix, matrix_of, right_handed, transform_of

from bev_perception.geometry import RigidTransform

PAIRS: dict[type, type] = {
    actors.FakeActor: carla.Actor,
    actors.FakeActorList: carla.ActorList,
    actors.FakeSensor: carla.Sensor,
    actors.FakeVehicle: carla.Vehicle,
    actors.FakeWalker: carla.Walker,
    actors.FakeWalkerAIController: carla.WalkerAIController,
    blueprints.FakeActorAttribute: carla.ActorAttribute,
    blueprints.FakeActorBlueprint: carla.ActorBlueprint,
    blueprints.FakeBlueprintLibrary: carla.BlueprintLibrary,
    client.FakeClient: carla.Client,
    client.FakeResponse: carla.command.Response,
    client.FakeTrafficManager: carla.TrafficManager,
    images.FakeImage: carla.Image,
    snapshots.FakeActorSnapshot: carla.ActorSnapshot,
    snapshots.FakeWorldSnapshot: carla.WorldSnapshot,
    world.FakeEnvironmentObject: carla.EnvironmentObject,
    world.FakeMap: carla.Map,
    world.FakeWorld: carla.World,
}
STUBS = Path(carla.__file__).parent

NOT_IN_STUBS = {("TrafficManager", "get_port"), ("WorldSnapshot", "id")}
"""What the wheel has and its own stubs forget."""


def public_members(kind: type) -> Iterator[tuple[str, Any]]:
    for name, _ in inspect.getmembers(kind):
        if not name.startswith("_"):
            yield name, inspect.getattr_static(kind, name)
    for name in ("__iter__", "__len__", "__init__"):
        if name in vars(kind) and (name != "__init__" or kind is client.FakeClient):
            yield name, vars(kind)[name]


def overloads(method: Any) -> list[list[str]]:
    """Parameter names without self of every signature that Boost.Python documents."""
    found = []
    for line in (method.__doc__ or "").splitlines():
        if re.match(r"\w+\(.*\) ->", line.strip()):
            arguments = line.strip().rsplit(") ->", 1)[0]
            names = re.findall(r"\([\w.]+\)(\w+)", arguments)
            found.append(names[1:])
    return found


MEMBERS = [
    pytest.param(real, name, member, id=f"{real.__name__}.{name}")
    for fake, real in PAIRS.items()
    for name, member in public_members(fake)
]


@pytest.mark.parametrize(("real", "name", "member"), MEMBERS)
def test_every_public_name_of_the_double_is_carlas(real: type, name: str, member: Any) -> None:
    assert hasattr(real, name)
    is_property = isinstance(inspect.getattr_static(real, name), property)
    assert is_property == isinstance(member, property)


@pytest.mark.parametrize(("real", "name", "member"), MEMBERS)
def test_every_method_takes_parameters_of_carlas_names(real: type, name: str, member: Any) -> None:
    if not inspect.isfunction(member) or name in ("__iter__", "__len__"):
        return
    mine = list(inspect.signature(member).parameters)[1:]
    known = overloads(getattr(real, name))
    unnamed = [[re.sub(r"^arg\d+$", "?", entry) for entry in names] for names in known]
    assert any(
        len(names) >= len(mine) and all(n in (m, "?") for n, m in zip(names, mine))
        for names in unnamed
    ), f"{real.__name__}.{name}{tuple(mine)} is none of {known}"


def test_every_public_name_of_the_double_is_in_the_stubs_of_the_wheel() -> None:
    if not (STUBS / "libcarla.pyi").exists():
        pytest.skip("carla packages before 0.9.16 have no stubs")
    declared: dict[str, set[str]] = {}
    bases: dict[str, list[str]] = {}
    for stub in ("libcarla.pyi", "command.pyi"):
        for node in ast.parse((STUBS / stub).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                names = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                declared[node.name] = names
                bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]

    def known(kind: str) -> set[str]:
        return declared[kind].union(*(known(base) for base in bases[kind] if base in declared))

    missing = {
        (real.__name__, name)
        for fake, real in PAIRS.items()
        for name, _ in public_members(fake)
        if name not in known(real.__name__)
    }
    assert missing <= NOT_IN_STUBS


def test_a_wrong_name_would_be_found() -> None:
    assert not hasattr(carla.World, "get_all_actors")
    assert ["settings", "seconds"] in overloads(carla.World.apply_settings)
    assert "tick_timeout" not in {n for names in overloads(carla.World.tick) for n in names}


def test_axes_of_the_double_are_carlas_own_mathematics() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        roll, pitch, yaw = rng.uniform(-1.4, 1.4, 3)
        pose = RigidTransform.from_euler(roll, pitch, yaw, rng.uniform(-50, 50, 3))
        matrix = actor_matrix(pose)
        transform = transform_of(matrix)
        np.testing.assert_allclose(matrix_of(transform), matrix, atol=1e-5)
        right = transform.get_right_vector()
        np.testing.assert_allclose([right.x, -right.y, right.z], -pose.rotation[:, 1], atol=1e-5)
        assert right_handed(matrix).is_close(pose, 1e-9, 1e-7)
