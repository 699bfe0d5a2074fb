# SPDX-License-Identifier: Apache-2.0
"""``bev simulate``: towns with rigs of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bev_perception.bags import BagReader
from bev_perception.geometry.rig_file import load_rig
from bev_perception.simulation.rig_variation import varied_rig


def test_every_town_is_recorded_with_a_rig_drawn_around_the_given_one(
    bev: Callable, rig_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "towns"
    options = ("--sets", 1, "--rig", rig_file, "--out", out)
    result = bev("simulate", "--town", "3,4", "--vary-rig", 9, *options)
    assert result.code == 0, result.err
    for town in (3, 4):
        expected = varied_rig(load_rig(rig_file), 9, town)
        with BagReader(out / f"town_{town:05d}") as reader:
            rig = reader.rig()
            for name, entry in expected.cameras.items():
                assert rig[name].base_T_camera.is_close(entry.base_T_camera)
                assert abs(rig[name].camera.fx - entry.camera.fx) < 1e-6
    result = bev("simulate", "--town", "5", *options)  # another variation may not join them
    assert "vary_rig 9 there, None now" in result.error


def test_busier_streets_are_another_recording(
    bev: Callable, rig_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "towns"
    options = ("--sets", 1, "--rig", rig_file, "--out", out)
    assert bev("simulate", "--town", 3, *options).code == 0
    assert bev("simulate", "--town", 4, *options).code == 0  # goes on with what is there
    result = bev("simulate", "--town", 5, "--traffic", 2.5, *options)
    assert "traffic 1.0 there, 2.5 now" in result.error
    result = bev("simulate", "--town", 5, "--traffic", 0, *options)
    assert "--traffic must be above 0 and at most 10, got 0" in result.error
    busy = tmp_path / "busy"
    result = bev("simulate", "--town", 3, "--traffic", 2.5, *options[:-1], busy)
    assert result.code == 0, result.err
    counts = []
    for folder in (out, busy):
        with BagReader(folder / "town_00003") as reader:
            counts.append(len(reader.objects(reader.label_stamps_ns[0]) or ()))
    assert counts[1] > counts[0]
