# SPDX-License-Identifier: Apache-2.0
"""``bev evaluate``: accuracy of weights over labelled drives."""

from __future__ import annotations

from pathlib import Path

from bev_perception.cli.parser import (
    Arguments,
    Command,
    Parser,
    add_engine_arguments,
    add_output_arguments,
    add_rig_argument,
    require,
)


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "bags",
        type=str,
        nargs="+",
        metavar="BAG",
        help="labelled bags, folders of bags, or data sets of bev extract",
    )
    add_engine_arguments(parser)
    add_rig_argument(parser, "names topics, frames or calibrations that the bags do not tell")
    add_output_arguments(parser)
    parser.add_argument(
        "--stride", type=int, default=1, metavar="N", help="judge every N-th labelled set"
    )
    parser.add_argument(
        "--recorded",
        action="store_true",
        help="judge the outputs that were recorded in the bags, of the live node or of bev run, "
        "and run no network",
    )
    parser.add_argument(
        "--node", type=str, default="bev", help="for --recorded: whose outputs, with its namespace"
    )
    parser.add_argument(
        "--retention",
        action="store_true",
        help="also measure how much IoU is kept with cameras turned, raised or lost, known to the "
        "network or not; takes about twenty times as long",
    )
    parser.add_argument(
        "--camera-subsets",
        action="store_true",
        help="also measure IoU and calibration with every subset of the cameras",
    )
    parser.add_argument(
        "--retention-stride",
        type=int,
        default=None,
        metavar="N",
        help="for --retention and --camera-subsets take every N-th labelled set; default --stride",
    )
    parser.add_argument(
        "--other-rigs",
        type=str,
        nargs="*",
        default=[],
        metavar="NAME=BAGS",
        help="for --retention: the same drives recorded with another rig that their bags tell "
        "of, as 'height +0.2 m=out/towns/raised'",
    )
    parser.add_argument(
        "--pictures",
        type=int,
        default=2,
        metavar="N",
        help="draw the N best, the N median and the N worst moments",
    )


def _run(arguments: Arguments) -> None:
    from bev_perception.cli.camera_subset_table import camera_subset_table
    from bev_perception.cli.evaluation_report import findings_of
    from bev_perception.cli.evaluation_run import run_evaluation
    from bev_perception.cli.evaluation_tables import retention_table
    from bev_perception.cli.output_directory import result_directory
    from bev_perception.cli.result_tables import accuracy_table, as_text

    require(arguments.stride >= 1, f"--stride must be at least 1, got {arguments.stride}")
    thinned = arguments.retention_stride
    require(
        thinned is None or thinned >= 1, f"--retention-stride must be at least 1, got {thinned}"
    )
    require(arguments.pictures >= 0, f"--pictures must be 0 or more, got {arguments.pictures}")
    out = Path(arguments.out)
    inputs = [Path(bag) for bag in arguments.bags]
    with result_directory(out, arguments.overwrite, "evaluate", inputs) as folder:
        metrics = run_evaluation(arguments, folder)
    table = accuracy_table(metrics)
    print(as_text(table))
    precision, quality = metrics["center_ap"]["within_25m"], metrics["panoptic"]["within_25m"]
    print(
        f"\n{metrics['bags']} bags; {table.note}\nWithin ±25 m: mean centre AP "
        f"{_share(precision['mean'])}, panoptic quality {_share(quality['pq'])}. Expected "
        f"calibration error {_share(metrics['calibration']['ece'], 4)}."
    )
    for finding in findings_of(metrics):
        print(finding)
    for measured in (retention_table({"": metrics}), camera_subset_table({"": metrics})):
        if measured is not None:
            print(f"\n{as_text(measured)}\n\n{measured.note}")
    print(f"report: {out / 'report.html'}")


def _share(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


COMMAND = Command(
    name="evaluate",
    summary="IoU, centres, panoptic quality, calibration and retention over labelled drives",
    description="Runs perception over labelled drives, or reads what was recorded of it, and "
    "judges every set. Leaves metrics.json, frames.json (every set's IoU), report.html with "
    "pictures of the best, median and worst sets, and run.json in --out. bev report compares "
    "several such folders.",
    examples=(
        ("the shipped weights on twenty towns", "bev evaluate out/test_towns --out out/scores"),
        (
            "own weights, every fifth set, and what they keep with a camera lost or turned",
            "bev evaluate town_a town_b --weights weights.safetensors --stride 5 --retention "
            "--out out/scores",
        ),
        (
            "a recorded live drive",
            "bev evaluate out/demo/drive --recorded --out out/live_scores",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
