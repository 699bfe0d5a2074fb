# SPDX-License-Identifier: Apache-2.0
"""Training in pieces of limited time: towns first, recipes in turn, each piece goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from programs import load_program
from tiny_network import CONFIG

from bev_perception.geometry import BevGrid
from bev_perception.model import Segnet, load_weights, save_weights

TOOL = Path(__file__).parents[1] / "tools" / "train_pieces.py"
RECIPES = ("small", "large")


@pytest.fixture(scope="module")
def train_pieces() -> ModuleType:
    """The program, which is no part of the package."""
    return load_program(TOOL)


class FakeBev:
    """Stands for bev: notes what it is asked for, and trains some of ten steps a time."""

    def __init__(self, steps: int, renders: bool = True) -> None:
        self.asked: list[list[str]] = []
        self.folders: list[str] = []
        self._done: dict[Path, int] = {}
        self._steps, self._renders = steps, renders

    def __call__(self, arguments: Sequence[str], minutes: float | None = None) -> bool:
        self.asked.append(list(arguments))
        if arguments[0] == "simulate":
            return self._renders
        is_new = "--resume" not in arguments
        option = "--out" if is_new else "--config"
        named = Path(arguments[list(arguments).index(option) + 1])
        folder = named if is_new else named.parent
        self.folders.append(folder.name)
        self._done[folder] = min(self._done.get(folder, 0) + self._steps, 10)
        metadata = {
            "steps": self._done[folder],
            "minutes": 1.0,
            "metrics": {"iou_within_25m": 0.5},
            "recipe": {"max_steps": 10},
        }
        save_weights(folder / "weights.safetensors", Segnet(CONFIG), metadata)
        (folder / "last.ckpt").touch()
        return True

    @property
    def trained(self) -> list[list[str]]:
        """What was asked of bev train."""
        return [arguments for arguments in self.asked if arguments[0] == "train"]


def a_piece(tool: ModuleType, tmp_path: Path, bev: FakeBev, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs one; returns the names of the recipes that trained, in order."""
    recipes = [tmp_path / f"{name}.yaml" for name in RECIPES]
    for recipe in recipes:
        recipe.touch()
    before = len(bev.folders)
    monkeypatch.setattr(tool, "run_bev", bev)
    assert tool.main([*map(str, recipes), "--out", str(tmp_path), "--seed", "3"]) == 0
    return " ".join(bev.folders[before:])


def test_a_recipe_starts_from_the_one_before_when_that_is_finished(
    train_pieces: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bev = FakeBev(steps=6)
    names = [a_piece(train_pieces, tmp_path, bev, monkeypatch) for _ in range(4)]
    assert names == ["small", "small large", "large", ""]  # the fourth had nothing left to do
    first, second, third, fourth = bev.trained
    assert "--init_weights" not in first
    assert first[-2:] == ["--out", str(tmp_path / "small")]
    assert first[first.index("--seed") + 1] == "3"
    assert second[1:5] == ["--config", str(tmp_path / "small" / "config.yaml"), "--resume", "true"]
    assert third[third.index("--init_weights") + 1] == str(tmp_path / "small/weights.safetensors")
    assert "--resume" in fourth
    assert all("--max_minutes" in arguments for arguments in bev.trained)


def test_nothing_trains_before_all_towns_are_there(
    train_pieces: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bev = FakeBev(steps=6, renders=False)
    assert a_piece(train_pieces, tmp_path, bev, monkeypatch) == ""
    assert [arguments[0] for arguments in bev.asked] == ["simulate"]


def test_mistakes_are_told_in_a_line(
    train_pieces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_pieces.main(["nowhere.yaml", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "train_pieces: error: no such recipe: nowhere.yaml\n"


@pytest.mark.slow
def test_towns_are_rendered_and_two_recipes_trained_in_three_pieces(
    train_pieces: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The real thing with a network that learns nothing in so few steps."""
    model = CONFIG.to_dict()
    large = {**model, "image_size": [128, 192], "grid": BevGrid.centered(16.0, 0.5).to_dict()}
    for name, values in zip(RECIPES, (model, large)):
        recipe = {"model": values, "max_steps": 40, "batch_size": 2, "checkpoint_every": 10}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    towns = ["--train", "0", "--varied", "200", "--validation", "10000", "--sets", "2"]
    command = [*(str(tmp_path / f"{name}.yaml") for name in RECIPES), "--out", str(tmp_path)]
    command += ["--towns", str(tmp_path / "towns"), *towns, "--jobs", "2"]
    command += ["--accelerator", "cpu", "--reserve-minutes", "0.1"]
    assert train_pieces.main([*command, "--minutes", "0.01"]) == 0
    assert "time is over while towns are rendered" in capfd.readouterr().out
    planned = [*command, "--plan-minutes", "0.02", "0.02"]
    assert train_pieces.main([*planned, "--minutes", "30"]) == 0
    assert "all is finished" in capfd.readouterr().out
    trained, metadata = load_weights(tmp_path / "large" / "weights.safetensors")
    assert trained.config.image_size == (128, 192)
    assert metadata["steps"] == metadata["recipe"]["max_steps"]
    start = load_weights(tmp_path / "small" / "weights.safetensors")[1]
    assert metadata["init"]["steps"] == start["steps"]
    assert train_pieces.main(planned) == 0
    assert "simulate" not in capfd.readouterr().out
