# SPDX-License-Identifier: Apache-2.0
"""``bev report``: evaluations as a page, or side by side."""

from __future__ import annotations

import shlex
from pathlib import Path

from bev_perception.cli.parser import Arguments, Command, Parser, add_output_arguments


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "evaluations",
        type=str,
        nargs="+",
        metavar="DIR",
        help="folders that bev evaluate left; the later ones are compared with the first",
    )
    add_output_arguments(parser)
    parser.add_argument(
        "--pictures",
        type=int,
        default=2,
        metavar="N",
        help="of two models draw the N sets that got better most and the N that got worse; needs "
        "the bags and the weights of the evaluations",
    )


def _run(arguments: Arguments) -> None:
    from bev_perception.cli.comparison_report import compare_evaluations
    from bev_perception.cli.evaluation_folder import REPORT_FILE, read_evaluation
    from bev_perception.cli.evaluation_report import evaluation_report
    from bev_perception.cli.output_directory import result_directory, write_json, write_run_file
    from bev_perception.cli.parser import require
    from bev_perception.visualization import write_report

    require(arguments.pictures >= 0, f"--pictures must be 0 or more, got {arguments.pictures}")
    inputs = [Path(path) for path in arguments.evaluations]
    evaluations = [read_evaluation(path) for path in inputs]
    out = Path(arguments.out)
    command = shlex.join(["bev", "report", *arguments.evaluations, "--out", arguments.out])
    with result_directory(out, arguments.overwrite, "report", inputs) as folder:
        if len(evaluations) == 1:
            page = evaluation_report(evaluations[0], command)
        else:
            page, values = compare_evaluations(evaluations, arguments.pictures, folder, command)
            write_json(folder / "comparison.json", values)
        write_report(folder / REPORT_FILE, page)
        write_run_file(folder, "report", {"arguments": arguments.as_dict()})
    for finding in page.findings:
        print(finding)
    print(f"report: {out / REPORT_FILE}")


COMMAND = Command(
    name="report",
    summary="evaluations as a page, or models side by side, set by set",
    description="Makes a page of what bev evaluate left. With several folders it compares every "
    "later one with the first on the sets that both judged: which sets got better and which "
    "worse, with pictures, and a confidence interval of the difference. Leaves report.html and, "
    "of a comparison, comparison.json in --out.",
    examples=(
        ("what is in an evaluation", "bev report out/scores --out out/page"),
        (
            "is the new model better?",
            "bev report out/scores_old out/scores_new --out out/old_and_new",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
