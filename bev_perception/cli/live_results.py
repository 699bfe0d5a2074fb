# SPDX-License-Identifier: Apache-2.0
"""What a recorded live drive shows: the figures of a run over a bag, from its outputs."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack, closing
from pathlib import Path

from bev_perception.bags import BagReader
from bev_perception.bags.output_reader import DiagnosticReport, OutputReader
from bev_perception.cli.run_results import ResultCollector, RunResult, with_progress
from bev_perception.geometry import FrameSet, RigidTransform
from bev_perception.geometry.frames import levelled
from bev_perception.perception import PipelineSettings, frame_sets
from bev_perception.visualization import Table

STAGES = ("wait", "decode", "prepare", "table", "engine", "objects", "publish", "node", "total")
"""Of the latencies that the node publishes, those that a lockstep drive tells something about."""

LIVE_SETTINGS = PipelineSettings(track=True)
"""Those of the perception node where its parameters are not changed."""

ACCURACY_NOTE = (
    "Judged as published: a cell that no camera sees is unknown on the topics and counts as free, "
    "where --offline counts what the network guesses there."
)

LEVELS = ("ok", "warning", "error", "stale")


def live_results(bag: Path, folder: Path, pictures: int) -> RunResult:
    """Judges and draws the outputs that were recorded with the images.

    Args:
        bag: images, labels and outputs of a drive.
        folder: gets pictures and a video.
        pictures: how many moments to draw.

    Raises:
        BagError: the bag lacks images or outputs.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(bag))
        outputs = stack.enter_context(OutputReader(bag))
        collector = stack.enter_context(ResultCollector(reader, folder, pictures, video=True))
        sets = with_progress(frame_sets(reader), reader.stamp_range_ns, "report")
        num_sets = 0
        for frame_set in stack.enter_context(closing(sets)):
            num_sets += 1
            output = outputs.output(frame_set.stamp_ns, _level_T_base(frame_set))
            if output is not None:
                collector.add(frame_set, output)
        latencies_ms = outputs.latencies_ms()
        for stage in STAGES:
            if stage in latencies_ms:
                collector.add_durations(stage, latencies_ms[stage].tolist())
        reports = _during(outputs.diagnostics(), reader.stamp_range_ns)
    result = collector.result()
    result.accuracy_note = ACCURACY_NOTE
    result.settings = LIVE_SETTINGS.to_dict()
    result.synchronisation = f"{result.num_sets} of {num_sets} sets have an output"
    if result.num_sets < num_sets:
        result.findings.append(f"{result.synchronisation}; the logs say more.")
    if reports:
        result.tables.append(diagnostics_table(reports))
        result.findings += diagnostic_findings(reports)
    return result


def diagnostics_table(reports: list[DiagnosticReport]) -> Table:
    """Per part of the node, how often it was in which state, and what it said in the worst."""
    rows = []
    for name, own in _by_name(reports).items():
        states = ", ".join(
            f"{word} {count}"
            for level, word in enumerate(LEVELS)
            if (count := sum(report.level == level for report in own))
        )
        part = name.removeprefix("bev: ")
        rows.append([part, states, _worst(own).message.removeprefix(f"{part}: ")])
    return Table(
        "Diagnostics",
        ["part", "reports", "what it said"],
        rows,
        "Reports on /diagnostics while the drive went on; of each part the gravest, or the last.",
    )


def diagnostic_findings(reports: list[DiagnosticReport]) -> list[str]:
    """A sentence per part that warned or had an error, the gravest that it said."""
    findings = []
    for own in _by_name(reports).values():
        bad = [report for report in own if report.level in (1, 2)]
        if bad:
            findings.append(f"{_worst(bad).message} ({len(bad)} of {len(own)} reports)")
    return findings


def _level_T_base(frame_set: FrameSet) -> RigidTransform | None:
    return None if frame_set.world_T_base is None else levelled(frame_set.world_T_base)


def _during(
    reports: list[DiagnosticReport], stamp_range_ns: tuple[int, int]
) -> list[DiagnosticReport]:
    """Those between the first set and the last, when the cameras were at work."""
    first, last = stamp_range_ns
    return [report for report in reports if first < report.stamp_ns < last]


def _by_name(reports: list[DiagnosticReport]) -> dict[str, list[DiagnosticReport]]:
    named: dict[str, list[DiagnosticReport]] = defaultdict(list)
    for report in reports:
        named[report.name].append(report)
    return named


def _worst(reports: list[DiagnosticReport]) -> DiagnosticReport:
    """The last of the gravest."""
    return max(reversed(reports), key=lambda report: (report.level in (1, 2)) * report.level)
