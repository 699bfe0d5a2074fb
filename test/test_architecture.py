# SPDX-License-Identifier: Apache-2.0
"""Arrows between the rooms point the way that docs/architecture.md says."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bev_perception"
ALL = frozenset({"*"})

MAY_USE: dict[str, frozenset[str]] = {
    "geometry": frozenset(),
    "model": frozenset({"geometry"}),
    "inference": frozenset({"geometry", "model"}),
    "residual_pose": frozenset({"geometry"}),
    "perception": frozenset({"geometry", "inference", "model", "residual_pose"}),
    "bags": frozenset({"geometry"}),
    "samples": frozenset({"geometry", "bags"}),
    "faults": frozenset({"geometry", "bags"}),
    "simulation": frozenset({"geometry"}),
    "carla_world": frozenset({"geometry"}),
    "datasets": frozenset({"geometry", "perception", "bags", "visualization"}),
    "evaluation": frozenset(
        {"geometry", "model", "inference", "perception", "bags", "datasets", "visualization"}
    ),
    "training": frozenset({"geometry", "model", "datasets", "evaluation", "visualization"}),
    "doctor": frozenset({"geometry", "bags", "perception", "visualization"}),
    "visualization": frozenset({"geometry"}),
    "supervision": frozenset(),
    "ros": frozenset(
        {
            "geometry",
            "model",
            "inference",
            "perception",
            "residual_pose",
            "bags",
            "simulation",
            "carla_world",
            "doctor",
            "visualization",
            "supervision",
        }
    ),
    "cli": ALL,
}
"""Rooms that a room may import beside itself and the modules of EVERYWHERE."""

EVERYWHERE = frozenset(
    {
        "errors",
        "parallel",
        "parent_process",
        "processor",
        "resources",
        "untrusted",
        "untrusted_arrays",
    }
)

ONLY_IN: dict[str, frozenset[str]] = {
    "torch": frozenset(
        {"model", "inference", "perception", "samples", "evaluation", "training", "ros", "cli"}
    ),
    "lightning": frozenset({"training", "cli"}),
    "rosbags": frozenset({"bags"}),
    "moderngl": frozenset({"simulation"}),
    "carla": frozenset({"carla_world"}),
    "rerun": frozenset({"visualization"}),
    "rclpy": frozenset({"ros"}),
    "tf2_msgs": frozenset({"ros"}),
    "sensor_msgs": frozenset({"ros"}),
    "cv_bridge": frozenset({"ros"}),
}
"""Third-party packages that only some rooms may import."""

GEOMETRY_LIBRARIES = frozenset({"numpy", "scipy", "yaml"})


def imported_modules(path: Path) -> list[tuple[int, str]]:
    """(line, absolute dotted name) of every import of a file, wherever it stands."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def wrong_imports(path: Path) -> list[str]:
    room = room_of(path)
    allowed = MAY_USE.get(room, frozenset()) | EVERYWHERE | {room}
    wrong = []
    for line, module in imported_modules(path):
        top, *rest = module.split(".")
        if top == PACKAGE.name:
            used = rest[0] if rest else ""
            is_wrong = used in MAY_USE and used not in allowed and "*" not in allowed
        elif room == "geometry":
            is_standard = top in sys.stdlib_module_names
            is_wrong = not is_standard and top not in GEOMETRY_LIBRARIES
        else:
            is_wrong = room not in ONLY_IN.get(top, {room})
        if is_wrong:
            wrong.append(f"{path.relative_to(ROOT)}:{line} {room} must not import {module}")
    return wrong


def test_every_import_follows_the_table() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 20
    wrong = [message for path in files for message in wrong_imports(path)]
    assert not wrong, "\n".join(wrong)


def test_every_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(MAY_USE)


def test_documented_table_is_the_enforced_one() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/` \|[^|]*\|([^|]*)\|$", text, flags=re.MULTILINE)
    documented = {
        room: ALL if uses.strip() == "all" else set(re.findall(r"\w+", uses)) & set(MAY_USE)
        for room, uses in rows
    }
    assert documented == MAY_USE


@pytest.mark.parametrize(
    ("source", "room"),
    [
        ("def f():\n    from bev_perception.training import losses", "geometry"),
        ("import torch", "geometry"),
        ("from ..model import Segnet", "bags"),
        ("from .. import training", "perception"),
        ("import bev_perception.simulation.town as t", "visualization"),
        ("from rosbags.highlevel import AnyReader", "training"),
    ],
)
def test_a_wrong_arrow_is_found(
    source: str, room: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / PACKAGE.name / room / "offender.py"
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / PACKAGE.name)
    assert len(wrong_imports(file)) == 1
