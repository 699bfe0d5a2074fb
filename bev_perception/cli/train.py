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
from bev_perception.errors import ConfigurationError

if TYPE_CHECKING:
    from bev_perception.training.configuration import TrainConfig


USUAL_METHOD = "mixmatch"
"""What --unlabelled bags are learned from by where no method is named: of those that guess, the one
that costs least where labels suffice (docs/semi_supervised.md)."""


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
        "--labelled",
        type=str,
        nargs="+",
        default=[],
        metavar="BAG",
        help="the same, for a command line that also has --unlabelled",
    )
    parser.add_argument(
        "--unlabelled",
        type=str,
        nargs="+",
        default=[],
        metavar="BAG",
        help="bags, or folders of bags, to learn from without labels, beside those of "
        "data.unlabelled; see --semi_supervised.method",
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


def configuration(arguments: Arguments) -> tuple[TrainConfig, int]:
    """The run that a command line asks for, and how many pictures to draw instead of it.

    Raises:
        ConfigurationError: its options make no run.
    """
    from bev_perception.training.configuration import TrainConfig

    parser = Parser(prog="bev train")
    _add_arguments(parser)
    try:
        values = parser.instantiate_classes(arguments).as_dict()
    except (TypeError, ValueError) as error:  # None or a list where a value must be
        reason = " ".join(str(error).split())[:300]
        raise ConfigurationError(f"the options make no run: {reason}") from error
    bags = tuple(Path(bag) for bag in (*values.pop("bags"), *values.pop("labelled")))
    unlabelled = tuple(Path(bag) for bag in values.pop("unlabelled"))
    values.pop("config")
    preview = values.pop("preview")
    config = TrainConfig(**values)
    data = config.data
    data = replace(data, train=(*bags, *data.train), unlabelled=(*unlabelled, *data.unlabelled))
    method = config.semi_supervised
    if unlabelled and method.method == "none":
        method = replace(method, method=USUAL_METHOD)
        print(f"--semi_supervised.method {USUAL_METHOD}, because there are --unlabelled bags")
    return replace(config, data=data, semi_supervised=method), preview


def _run(arguments: Arguments) -> None:
    from bev_perception.cli.output_directory import (
        UNWRITABLE,
        missing_folders,
        remove_empty,
        writing_to,
    )
    from bev_perception.training.distributed import processes_of_torchrun
    from bev_perception.training.train import train

    config, preview = configuration(arguments)
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
            "a few labelled drives, and many that nobody has labelled",
            "bev train --labelled out/labelled --unlabelled out/recordings "
            "--config config/recipes/tiny.yaml --out out/train",
        ),
        (
            "go on with a training that was stopped",
            "bev train --config out/train/config.yaml --resume true",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
