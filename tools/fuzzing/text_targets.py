# SPDX-License-Identifier: Apache-2.0
"""Files that people write: rigs, parameters, recipes, declarations of samples."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bev_perception.errors import BevError
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.resources import config_path
from bev_perception.ros.parameter_file import file_parameters
from bev_perception.samples.declaration import load_declaration, simple_bev_declaration
from fuzzing.mutations import mutated_bytes, mutated_values

ODD_YAML = (
    "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    ) + "cameras: *j\nbase_frame: *j\nposition: *j\n",
    "cameras: &a {front: *a}\n",
    "cameras: !!python/object/apply:os.system ['touch escaped']\n",
    "[" * 5000,
    "{a: " * 3000,
    "? [a, b]\n: 1\n",
    "cameras: {<<: 1}\n",
    "cameras: {front: !!binary aGk=}\nbase_frame: 2020-01-01\n",
    "cameras: {front: {width: 0x7fffffffffffffff, height: 1_000_000_000_000}}\n",
    "\ufeff%YAML 9.9\n---\n",
)  # fmt: skip
"""Documents that are trouble for any YAML reader, an alias bomb first."""


def _spoil_yaml(name: str) -> Callable[[Path, random.Random], None]:
    def spoil(folder: Path, rng: random.Random) -> None:
        path = folder / name
        choice = rng.random()
        if choice < 0.08:
            path.write_text(rng.choice(ODD_YAML), encoding="utf-8")
        elif choice < 0.45:
            path.write_bytes(mutated_bytes(path.read_bytes(), rng))
        else:
            values = mutated_values(yaml.safe_load(path.read_text(encoding="utf-8")), rng)
            path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")

    return spoil


def _copy_of(source: Callable[[], Path], name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(source().read_bytes()) and None


def _read_rig(folder: Path, out: Path) -> None:
    load_rig_file(folder / "rig.yaml").rig()


def _read_parameters(folder: Path, out: Path) -> None:
    file_parameters(folder / "parameters.yaml", "bev", "")


def _read_recipe(folder: Path, out: Path) -> None:
    """The whole way of bev train's options, up to the training itself."""
    from bev_perception.cli.parser import Parser
    from bev_perception.cli.train import COMMAND, configuration

    parser = Parser(prog="bev train")
    COMMAND.add_arguments(parser)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            arguments = parser.parse_args(["--config", str(folder / "recipe.yaml")])
            configuration(arguments)[0].to_dict()
    except SystemExit as request:
        if request.code != 2:
            raise AssertionError(f"exit code {request.code}") from request
        raise BevError("refused by the parser") from request


def _prepare_declaration(folder: Path) -> None:
    text = simple_bev_declaration(("front", "left")).to_yaml()
    (folder / "layout.yaml").write_text(text, encoding="utf-8")


def _read_declaration(folder: Path, out: Path) -> None:
    load_declaration(folder / "layout.yaml")


TARGETS: dict[str, tuple[Any, ...]] = {
    "rig_file": (
        _copy_of(lambda: config_path("rigs/default.yaml"), "rig.yaml"),
        _spoil_yaml("rig.yaml"),
        _read_rig,
    ),
    "parameters": (
        _copy_of(lambda: config_path("perception.yaml"), "parameters.yaml"),
        _spoil_yaml("parameters.yaml"),
        _read_parameters,
    ),
    "recipe": (
        _copy_of(lambda: config_path("recipes/tiny.yaml"), "recipe.yaml"),
        _spoil_yaml("recipe.yaml"),
        _read_recipe,
    ),
    "declaration": (_prepare_declaration, _spoil_yaml("layout.yaml"), _read_declaration),
}
