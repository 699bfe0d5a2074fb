# SPDX-License-Identifier: Apache-2.0
"""``bev carla``: labelled bags from a CARLA server, and from samples recorded in one."""

from __future__ import annotations

from bev_perception.cli import carla_record, sample_import
from bev_perception.cli.parser import Arguments, Command

ACTIONS = (
    Command(
        name="record",
        summary="balanced labelled bags from a server, unattended",
        description="Drives through towns of a running CARLA server, in all weathers and densities "
        "of traffic in equal shares, and records what the cameras see, with calibration, ego pose "
        "and labels: one bag per drive below DIR/train, DIR/validation and DIR/test. Goes on after "
        "a restart of the server, and, started again, with the drives that are missing.",
        examples=(
            (
                "ten hours in three towns",
                "bev carla record --towns Town01,Town03,Town10HD_Opt --hours 10 --out out/carla",
            ),
            (
                "and on to training",
                "bev train out/carla/train --data.validation '[out/carla/validation]' "
                "--config config/recipes/tiny.yaml --out out/carla_train",
            ),
        ),
        add_arguments=carla_record.add_record_arguments,
        run=carla_record.run_record,
    ),
    Command(
        name="check",
        summary="do samples follow the conventions that are declared for them",
        description="Reads samples in the nuScenes-like layout (imgs, rots, trans, intrins, "
        "boxes), compares every reading of their numbers with what must hold, ranks them, and "
        "draws boxes and a ground grid into every camera. Exits with 2 when the data contradict "
        "the declaration in DATA/layout.yaml. Without one it proposes what fits.",
        examples=(
            ("which conventions do these samples follow", "bev carla check DATA --out out/check"),
            (
                "what if the cameras had CARLA's axes",
                "bev carla check DATA --set camera_axes=carla --out out/check",
            ),
        ),
        add_arguments=sample_import.add_check_arguments,
        run=sample_import.run_check,
    ),
    Command(
        name="import",
        summary="samples into labelled bags, once they are verified",
        description="Checks samples as 'bev carla check' does, and writes one labelled bag per "
        "drive, ready for bev train. Refuses a declaration that the data contradict.",
        examples=(
            ("samples into bags", "bev carla import DATA --out out/imported"),
            ("and on to training", "bev train out/imported --config config/recipes/tiny.yaml"),
        ),
        add_arguments=sample_import.add_import_arguments,
        run=sample_import.run_import,
    ),
)


def _run(arguments: Arguments) -> None:
    action = next(entry for entry in ACTIONS if entry.name == arguments.action)
    action.run(arguments[action.name])


COMMAND = Command(
    name="carla",
    summary="labelled bags from CARLA: record, check, import",
    description="Labelled bags from CARLA: recorded from a running server, or imported from "
    "samples that others stored in the nuScenes-like layout of Simple-BEV, once their conventions "
    "are verified. docs/carla.md has the layout and the conventions.",
    examples=(
        (
            "ten hours in two towns",
            "bev carla record --towns Town01,Town03 --hours 10 --out out/carla",
        ),
        ("which conventions do these samples follow", "bev carla check DATA --out out/check"),
        ("samples into bags", "bev carla import DATA --out out/imported"),
    ),
    add_arguments=lambda parser: None,
    run=_run,
    actions=ACTIONS,
)
