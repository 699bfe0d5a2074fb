# SPDX-License-Identifier: Apache-2.0
"""``bev train``: from labelled bags to weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jsonargparse

from bev_perception.cli.parser import Arguments, Command, Parser


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
    parser.add_class_arguments(TrainConfig)


def _run(arguments: Arguments) -> None:
    from bev_perception.training.configuration import TrainConfig
    from bev_perception.training.train import train

    parser = Parser(prog="bev train")
    _add_arguments(parser)
    values = parser.instantiate_classes(arguments).as_dict()
    bags = tuple(Path(bag) for bag in values.pop("bags"))
    values.pop("config")
    config = TrainConfig(**values)
    config = replace(config, data=replace(config.data, train=(*bags, *config.data.train)))
    result = train(config)
    for name, value in result.metrics.items():
        print(f"{name}: {value:.4f}")
    print(f"{result.steps} steps; weights: {result.weights}")


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
            "go on with a training that was stopped",
            "bev train --config out/train/config.yaml --resume true",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
