# SPDX-License-Identifier: Apache-2.0
"""The report page of a run over a bag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bev_perception.cli.output_directory import plain
from bev_perception.cli.result_tables import (
    accuracy_table,
    health_table,
    key_figures,
    timing_table,
)
from bev_perception.cli.run_results import RunResult
from bev_perception.visualization import Report


def run_report(
    title: str, subtitle: str, result: RunResult, settings: Mapping[str, Any], command: str
) -> Report:
    """Everything that a run found, as a page.

    Args:
        title, subtitle: heading.
        result: of run_bag.
        settings: plain values that reproduce the run.
        command: the command line that does it again.
    """
    tables = []
    if result.metrics is not None:
        table = accuracy_table(result.metrics)
        tables.append(replace(table, note=f"{table.note} {result.accuracy_note}".strip()))
    tables.append(timing_table(result.timings_ms))
    if result.bad_sets:
        tables.append(health_table(result.bad_sets, result.num_sets))
    tables += result.tables
    findings = [
        f"Camera {name}: {cause} in {count} of {result.num_sets} sets."
        for name, causes in result.bad_sets.items()
        for cause, count in causes.items()
    ] + result.findings
    return Report(
        title=title,
        subtitle=subtitle,
        figures=key_figures(result.metrics, result.timings_ms),
        findings=findings,
        pictures=result.pictures,
        video=result.video,
        video_caption="Every camera set: views with true (white) and predicted (orange) boxes, "
        "the predicted map, and the truth.",
        tables=tables,
        configuration={key: plain(value) for key, value in settings.items()},
        command=command,
    )
