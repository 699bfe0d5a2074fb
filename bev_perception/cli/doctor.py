# SPDX-License-Identifier: Apache-2.0
"""``bev doctor``: finds and explains what is wrong with a recording or with live topics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bev_perception.cli.parser import Arguments, Command, Parser, add_rig_argument, require

if TYPE_CHECKING:
    from bev_perception.doctor.examination import Examination, NamedCheck
    from bev_perception.doctor.finding import Finding
    from bev_perception.doctor.recording import Observation

EXIT_UNHEALTHY = 1
DEFAULT_WEIGHTS = "tiny"


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "bag",
        nargs="*",
        type=str,
        metavar="BAG",
        help="bag folder, .mcap or .db3 file; with --live the topics to watch, default cameras "
        "with CameraInfo, /tf, odometry and /clock",
    )
    parser.add_argument(
        "--live", action="store_true", help="watch the topics of the running system"
    )
    parser.add_argument(
        "--duration", type=float, default=10.0, metavar="S", help="how long to watch (--live)"
    )
    parser.add_argument(
        "--exclude",
        type=str,
        default="",
        metavar="REGEX",
        help="leave out topics in whose name this is found (--live)",
    )
    parser.add_argument(
        "--use-sim-time", action="store_true", help="times of arrival are those of /clock (--live)"
    )
    add_rig_argument(parser, "names topics, frames or calibrations that the topics do not tell")
    parser.add_argument(
        "--weights",
        type=str,
        default=None,
        metavar="NAME|FILE",
        help="weights that will be used: a rig unlike those that they learnt from is a warning; "
        f"default a note about {DEFAULT_WEIGHTS}",
    )
    parser.add_argument(
        "--ignore",
        type=str,
        default="",
        metavar="CHECK,...",
        help="checks to leave out, for example weights,sets",
    )
    parser.add_argument("--strict", action="store_true", help="warnings, too, make the exit code 1")
    parser.add_argument("--json", action="store_true", help="print JSON in place of text")
    parser.add_argument(
        "--out",
        type=str,
        default=None,
        metavar="DIR",
        help="also write doctor.txt, doctor.json, report.html and pictures",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace results that an earlier bev doctor left in --out",
    )


def _run(arguments: Arguments) -> None:
    from bev_perception.cli.doctor_text import examination_text, examination_values
    from bev_perception.cli.output_directory import check_free
    from bev_perception.doctor.examination import examine
    from bev_perception.doctor.pictures import with_pictures

    require(arguments.duration > 0, f"--duration must be positive, got {arguments.duration}")
    require(
        arguments.live or len(arguments.bag) == 1,
        f"name one bag, or --live for the running system; got {len(arguments.bag)} bags",
    )
    checks = _checks(arguments)
    if arguments.out is not None:
        check_free(Path(arguments.out), arguments.overwrite, "doctor")
    observation = _watch(arguments) if arguments.live else _read(arguments)
    examination = with_pictures(examine(observation, checks))
    pictures = _picture_names(examination) if arguments.out else {}
    values = examination_values(examination, arguments.strict, pictures)
    text = examination_text(examination)
    if arguments.out is not None:
        _write(arguments, examination, text, values, pictures)
    print(json.dumps(values, indent=2, ensure_ascii=False) if arguments.json else text)
    if arguments.out is not None and not arguments.json:
        print(f"report:   {Path(arguments.out) / 'report.html'}")
    if not examination.is_healthy(arguments.strict):
        raise SystemExit(EXIT_UNHEALTHY)


def _checks(arguments: Arguments) -> list[NamedCheck]:
    from bev_perception.doctor.checks import CHECKS
    from bev_perception.doctor.finding import Severity
    from bev_perception.doctor.rig_comparison import rig_check
    from bev_perception.geometry.rig_statistics import RIG_KEY, RigStatistics
    from bev_perception.model import load_weights, resolve_weights

    weights = arguments.weights or DEFAULT_WEIGHTS
    _, metadata = load_weights(resolve_weights(weights))
    trained = RigStatistics.from_dict(metadata[RIG_KEY]) if RIG_KEY in metadata else None
    severity = Severity.NOTE if arguments.weights is None else Severity.WARNING
    checks = [*CHECKS, rig_check(Path(weights).name, trained, severity)]
    ignored = [name for name in arguments.ignore.split(",") if name]
    names = [check.name for check in checks]
    unknown = [name for name in ignored if name not in names]
    require(not unknown, f"--ignore: no check {', '.join(unknown)}; there are {', '.join(names)}")
    return [check for check in checks if check.name not in ignored]


def _read(arguments: Arguments) -> Observation:
    from tqdm import tqdm

    from bev_perception.cli.bag_run import load_optional_rig
    from bev_perception.doctor.bag_observation import observe_bag

    with tqdm(desc="doctor", unit="message", dynamic_ncols=True, leave=False) as bar:
        return observe_bag(arguments.bag[0], load_optional_rig(arguments.rig), bar.update)


def _watch(arguments: Arguments) -> Observation:
    from bev_perception.cli.bag_run import load_optional_rig
    from bev_perception.cli.teller import Teller
    from bev_perception.ros.session import Session

    rig_file = load_optional_rig(arguments.rig)
    with Session("bev_doctor", arguments.use_sim_time) as session:
        from bev_perception.ros.topic_observer import TopicObserver
        from bev_perception.ros.topic_selection import TopicSelection

        selection = TopicSelection(tuple(arguments.bag), exclude=arguments.exclude)
        observer = TopicObserver(session.node, selection, arguments.duration, rig_file)
        Teller("doctor")(f"watching for {arguments.duration:g} s; Ctrl-C ends it earlier")
        while not session.stopping and not observer.finished:
            session.spin_once(0.1)
        return observer.observation()


def _picture_names(examination: Examination) -> dict[int, str]:
    return {
        number: f"{number:02d}_{re.sub(r'[^a-z0-9]+', '_', _about(finding))}.jpg"
        for number, finding in enumerate(examination.findings)
        if finding.picture is not None
    }


def _about(finding: Finding) -> str:
    return f"{finding.check} {finding.camera}".strip().lower()


def _write(
    arguments: Arguments,
    examination: Examination,
    text: str,
    values: dict[str, Any],
    names: dict[int, str],
) -> None:
    from bev_perception.cli.doctor_text import (
        cameras_table,
        checks_table,
        findings_table,
        overview,
        verdict,
    )
    from bev_perception.cli.output_directory import result_directory, write_json, write_run_file
    from bev_perception.doctor.pictures import TEXT, overview_picture
    from bev_perception.visualization import KeyFigure, Picture, Report, write_image, write_report

    inputs = [] if arguments.live else [Path(arguments.bag[0])]
    with result_directory(Path(arguments.out), arguments.overwrite, "doctor", inputs) as folder:
        (folder / "doctor.txt").write_text(text, encoding="utf-8")
        write_json(folder / "doctor.json", values)
        write_run_file(folder, "doctor", {"arguments": arguments.as_dict()})
        pictures = []
        whole = overview_picture(examination.observation)
        if whole is not None:
            write_image(folder / "cameras.jpg", whole)
            pictures.append(Picture(whole, "All cameras with a ground grid and the horizon.", TEXT))
        for number, name in names.items():
            finding = examination.findings[number]
            assert finding.picture is not None
            write_image(folder / name, finding.picture)
            caption = f"{finding.check} {finding.camera}: {finding.seen}. {finding.picture_text}"
            pictures.append(Picture(finding.picture, finding.picture_text, caption))
        name = examination.observation.source
        report = Report(
            title=f"Doctor: {name if arguments.live else Path(name).name}",
            subtitle=overview(examination),
            figures=[KeyFigure("Verdict", verdict(examination))],
            findings=[
                f"{each.severity.value.upper()} {_about(each)}: {each.seen}. To do: {each.fix}."
                for each in examination.findings
                if each.severity.value in ("warning", "error")
            ],
            pictures=pictures,
            tables=[
                findings_table(examination),
                cameras_table(examination.observation),
                checks_table(examination),
            ],
        )
        write_report(folder / "report.html", report)


COMMAND = Command(
    name="doctor",
    summary="what is wrong with a recording or with live topics, and how to mend it",
    description="Checks rates, stamps, encodings, calibrations, TF and the mounting of every "
    "camera, in a bag or in the running system, and says of each finding what was seen, what it "
    "should be, the likely cause and the fix. Exits with 0 when all is healthy (warnings and "
    "notes do not count; see --strict), 1 when errors were found, 2 when nothing could be "
    "examined. docs/doctor.md lists all checks.",
    examples=(
        ("a recording, with pictures", "bev doctor drive.mcap --out out/doctor"),
        ("the running system", "bev doctor --live --duration 20"),
        ("in CI, warnings included", "bev doctor drive.mcap --strict --json > doctor.json"),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
