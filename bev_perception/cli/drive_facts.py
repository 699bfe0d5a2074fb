# SPDX-License-Identifier: Apache-2.0
"""Town and weather of bags that bev recorded, for data set cards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bev_perception.untrusted import parse_json

SCHEDULE_FILE = "schedule.json"

_TOWN_BAG = re.compile(r"town_(\d{5})")


def drive_facts(bag: Path) -> dict[str, str]:
    """``town`` and ``weather`` of a bag of bev simulate or bev carla record; else nothing."""
    name = bag.stem if bag.is_file() else bag.name
    town = _TOWN_BAG.fullmatch(name)
    if town and _json(bag.parent / "run.json").get("command") == "simulate":
        return {"town": f"town {int(town[1])}", **_simulated_weather(int(town[1]))}
    schedule = _json(bag.parent.parent / SCHEDULE_FILE).get("", [])
    for drive in schedule:
        if drive.get("split") == bag.parent.name and name == f"drive_{drive.get('number'):05d}":
            return {key: str(drive[key]) for key in ("town", "weather")}
    return {}


def _simulated_weather(seed: int) -> dict[str, str]:
    try:
        from bev_perception.simulation.weather import weather_kind
    except ModuleNotFoundError:
        return {}  # without the simulation's libraries nobody knows
    return {"weather": weather_kind(seed)}


def _json(path: Path) -> dict[str, Any]:
    """A mapping from a file, a list as the mapping's "", nothing where there is neither."""
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {"": values}
