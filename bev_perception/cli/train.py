# SPDX-License-Identifier: Apache-2.0
"""``bev train``: from labelled bags to weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from bev_perception.cli.parser import Arguments, Command, Parser, require

if TYPE_CHECKING:
    from bev_perception.training.configuration import TrainConfig


def _add_arguments(parser: Parser) -> None:
    from bev_perception.training.configuration import TrainConfig

    parser.add_argument(
        "bags",
        type=str,
        nargs="*",
        metavar="BAG",
        help="bags, or folders of bags, to learn from, beside those of data.train",
    )
    parser.add_argument(
        "--config",
        action=jsonargparse.ActionConfigFile,
        metavar="RECIPE",
        help="recipe (YAML) with any of the options below; later options win",
    )
    parser.add_argument(
        "--preview",
        type=int,
        default=0,
        metavar="N",
        help="only draw the first N augmented samples, in the folder preview of --out",
    )
    parser.add_class_arguments(TrainConfig)
    _forget_required(parser)


def _forget_required(parser: Parser) -> None:
    """Options of the model have no default in its class, but TrainConfig fills them all."""
    for action in parser._actions:
        action.required = False


def _run(arguments: Arguments) -> None:
    from bev_perception.cli.output_directory import (
        UNWRITABLE,
        missing_folders,
        remove_empty,
        writing_to,
    )
    from bev_perception.training.configuration import TrainConfig
    from bev_perception.training.distributed import processes_of_torchrun
    from bev_perception.training.train import train

    parser = Parser(prog="bev train")
    _add_arguments(parser)
    values = parser.instantiate_classes(arguments).as_dict()
    bags = tuple(Path(bag) for bag in values.pop("bags"))
    values.pop("config")
    preview = values.pop("preview")
    config = TrainConfig(**values)
    config = replace(config, data=replace(config.data, train=(*bags, *config.data.train)))
    _check_numbers(config.to_dict())
    _check_accelerator(config.accelerator)
    cache = config.data.cache_dir or config.out / "prepared"
    created = [*missing_folders(cache), *missing_folders(config.out)]
    try:
        with writing_to(config.out, UNWRITABLE):
            if preview > 0:
                _preview(config, preview)
                return
            result = train(config)
    except BaseException:
        remove_empty(created)
        raise
    if processes_of_torchrun().rank:
        return
    for name, value in result.metrics.items():
        print(f"{name}: {value:.4f}")
    print(f"{result.steps} steps; weights: {result.weights}")


def _preview(config: TrainConfig, count: int) -> None:
    from bev_perception.cli.augmentation_preview import write_preview

    pictures = write_preview(config, count)
    print(f"pictures: {pictures[0].parent}")


def _check_numbers(values: Mapping[str, object], where: str = "") -> None:
    """Refuses what is no number: YAML has .nan and .inf, and comparisons let them pass."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            _check_numbers(value, f"{where}{name}.")
        elif isinstance(value, float):
            require(math.isfinite(value), f"{where}{name} must be a finite number, got {value}")


def _check_accelerator(name: str) -> None:
    """Refuses hardware that is not there now, not after the bags have been prepared."""
    import torch

    known = ("auto", "cpu", "gpu", "cuda", "mps")
    require(name in known, f"unknown accelerator {name!r}, expected one of {', '.join(known)}")
    there = {
        "gpu": torch.cuda.is_available() or torch.backends.mps.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    require(
        there.get(name, True),
        f"accelerator {name!r} is asked for, but torch {torch.__version__} sees none here; use "
        f"--accelerator cpu, or a torch build and driver for it",
    )


COMMAND = Command(
    name="train",
    summary="from labelled bags to weights",
    description="Trains Segnet on labelled bags and leaves weights.safetensors, the checkpoint "
    "that --resume goes on from, TensorBoard files and the whole configuration in --out.",
    examples=(
        (
            "a recipe on simulated towns, watched on others",
            "bev train out/train_towns --config config/recipes/tiny.yaml "
            "--data.validation '[out/validation_towns]' --out out/train",
        ),
        (
            "see what the network will see, images and boxes augmented, before training",
            "bev train out/train_towns --config config/recipes/tiny_robust.yaml --preview 8 "
            "--out out/look",
        ),
        (
            "go on with a training that was stopped",
            "bev train --config out/train/config.yaml --resume true",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
