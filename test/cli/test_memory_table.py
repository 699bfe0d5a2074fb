# SPDX-License-Identifier: Apache-2.0
"""The table of memory says what was measured, and stays away where nothing was."""

from __future__ import annotations

from bev_perception.cli.memory_table import memory_table


def metrics(known: float | None, objects: int) -> dict:
    values = {"objects": objects, "known": known, "recall": known, "iou": known}
    never = {"objects": 0, "known": None, "recall": None, "iou": None}
    return {
        "hidden": {"within_25m": {"all": values, "0.5_to_1_s": values, "1_to_2_s": never}},
        "velocity": {"error": 0.5, "moving_error": None, "moving_speed": 4.0},
    }


def test_models_stand_side_by_side_with_the_ages_that_occurred() -> None:
    table = memory_table({"plain": metrics(0.1, 7), "gru": metrics(0.6, 7)})
    assert table is not None
    assert table.columns == ["measure", "plain", "gru"]
    assert ["IoU, 0.5 to 1 s (7)", "0.100", "0.600"] in table.rows
    assert ["of those that move, m/s", "-", "-"] in table.rows
    assert not any("1 to 2" in row[0] for row in table.rows)


def test_evaluations_without_hidden_objects_have_no_such_table() -> None:
    assert memory_table({"plain": metrics(None, 0)}) is None
    assert memory_table({"an older one": {"iou": {}}}) is None
