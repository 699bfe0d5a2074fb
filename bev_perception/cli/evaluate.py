# SPDX-License-Identifier: Apache-2.0
"""``bev evaluate``: accuracy of weights over labelled bags."""

from __future__ import annotations

from pathlib import Path

from bev_perception.cli.parser import (
    Arguments,
    Command,
    Parser,
    add_engine_arguments,
    add_output_arguments,
    add_rig_argument,
)


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "bags", type=str, nargs="+", metavar="BAG", help="labelled bags, or folders of bags"
    )
    add_engine_arguments(parser)
    add_rig_argument(parser, "names topics, frames or calibrations that the bags do not tell")
    add_output_arguments(parser)
    parser.add_argument(
        "--stride", type=int, default=1, metavar="N", help="judge every N-th camera set"
    )


def _run(arguments: Arguments) -> None:
    from bev_perception.cli.bag_run import METRICS_FILE, load_optional_rig
    from bev_perception.cli.output_directory import result_directory, write_json, write_run_file
    from bev_perception.cli.parser import require
    from bev_perception.cli.result_tables import accuracy_table, as_text
    from bev_perception.datasets.preparation import find_bags
    from bev_perception.evaluation.evaluate import evaluate_bags
    from bev_perception.inference import load_engine
    from bev_perception.model import resolve_weights

    require(arguments.stride >= 1, f"--stride must be at least 1, got {arguments.stride}")
    out = Path(arguments.out)
    inputs = [Path(bag) for bag in arguments.bags]
    with result_directory(out, arguments.overwrite, "evaluate", inputs) as folder:
        bags = find_bags([Path(bag) for bag in arguments.bags])
        rig_file = load_optional_rig(arguments.rig)
        engine = load_engine(
            resolve_weights(arguments.weights),
            arguments.device,
            arguments.precision,
            arguments.backend,
        )
        metrics = evaluate_bags(bags, engine, rig_file=rig_file, stride=arguments.stride)
        write_json(folder / METRICS_FILE, metrics)
        run = {"arguments": arguments.as_dict()}
        run["engine"] = {
            "backend": engine.backend,
            "device": engine.device,
            "precision": engine.precision,
        }
        write_run_file(folder, "evaluate", run)
    table = accuracy_table(metrics)
    print(as_text(table))
    print(f"\n{len(bags)} bags; {table.note}")
    print(f"metrics: {out / METRICS_FILE}")


COMMAND = Command(
    name="evaluate",
    summary="IoU, centre precision and recall over labelled bags",
    description="Runs perception over labelled bags and judges every set. Leaves metrics.json "
    "and run.json in --out.",
    examples=(
        ("the shipped weights on twenty towns", "bev evaluate out/test_towns --out out/scores"),
        (
            "own weights, every fifth set",
            "bev evaluate town_a town_b --weights weights.safetensors --stride 5 --out out/scores",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
