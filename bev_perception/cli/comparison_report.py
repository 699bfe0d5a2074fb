# SPDX-License-Identifier: Apache-2.0
"""The page that puts models side by side, moment by moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bev_perception.cli.bag_run import load_optional_rig
from bev_perception.cli.evaluation_folder import EvaluationFolder
from bev_perception.cli.evaluation_report import (
    all_tables,
    curves_picture,
    findings_of,
    names_of,
)
from bev_perception.cli.evaluation_run import engine_of
from bev_perception.cli.result_tables import REGION_NAMES
from bev_perception.errors import BevError
from bev_perception.evaluation.answers import EngineRespondent, RecordedRespondent, Respondent
from bev_perception.evaluation.comparison import (
    Difference,
    Pair,
    bootstrap_difference,
    most_changed,
    paired,
)
from bev_perception.evaluation.pictures import draw_moments
from bev_perception.evaluation.regions import MAIN_REGIONS, NEAR
from bev_perception.visualization import KeyFigure, Picture, Report, Table, write_image


def compare_evaluations(
    evaluations: Sequence[EvaluationFolder], pictures: int, folder: Path, command: str
) -> tuple[Report, dict[str, Any]]:
    """Every later evaluation against the first.

    Args:
        evaluations: at least two.
        pictures: so many moments that got better and that got worse are drawn, of each pair.
        folder: gets the pictures as files, too.
        command: that does it again.

    Returns:
        The page, and its figures for JSON.

    Raises:
        ConfigurationError: two evaluations have no moment in common.
    """
    names = names_of(evaluations)
    models = {name: evaluation.metrics for name, evaluation in zip(names, evaluations)}
    drawn = [curves_picture(models)]
    findings = [f"{name}: {said}" for name in models for said in findings_of(models[name])]
    figures, values, rows = [], [], []
    for name, other in zip(names[1:], evaluations[1:]):
        pairs = paired(evaluations[0].frames, other.frames)
        found = {region.name: bootstrap_difference(pairs, region.name) for region in MAIN_REGIONS}
        rows += [_row(name, region, found[region]) for region in found]
        near = found[NEAR.name]
        figures.append(KeyFigure(f"{name}: IoU within ±25 m", f"{near.second - near.first:+.3f}"))
        findings.append(_finding(names[0], name, near, pairs))
        chosen = dict(zip(("better", "worse"), most_changed(pairs, NEAR.name, pictures)))
        try:
            drawn += _drawn(chosen, {names[0]: evaluations[0], name: other}, folder)
        except BevError as error:
            findings.append(f"No pictures of {name}: {error}")
        values.append(_values(names[0], name, found, pairs))
    report = Report(
        title=f"{', '.join(names[1:])} against {names[0]}",
        subtitle=f"{len(evaluations[0].frames)} judged sets",
        figures=figures,
        findings=findings,
        pictures=drawn,
        tables=[_difference_table(names[0], rows), *all_tables(models)],
        command=command,
    )
    return report, {"first": names[0], "comparisons": values}


def respondent_of(evaluation: EvaluationFolder) -> Respondent:
    """What answered in an evaluation, ready to answer again.

    Raises:
        BevError: its weights are gone.
    """
    arguments = evaluation.run["arguments"]
    if arguments.get("recorded"):
        return RecordedRespondent(evaluation.run["engine"]["recorded"])
    return EngineRespondent(engine_of(arguments))


def _row(name: str, region: str, found: Difference) -> list[str]:
    return [
        f"{name}, {REGION_NAMES[region]}",
        f"{found.first:.3f}",
        f"{found.second:.3f}",
        f"{found.second - found.first:+.3f}",
        f"{found.low:+.3f} to {found.high:+.3f}",
        found.unit + "s",
    ]


def _difference_table(first: str, rows: Sequence[Sequence[str]]) -> Table:
    return Table(
        "Difference on the same sets",
        ["model", f"IoU of {first}", "IoU", "difference", "95 % interval", "resampled"],
        rows,
        "Pooled IoU; the interval comes from a paired bootstrap that draws drives, or single sets "
        "where there are fewer than eight drives.",
    )


def _finding(first: str, name: str, near: Difference, pairs: Sequence[Pair]) -> str:
    gains = [pair.gain(NEAR.name) for pair in pairs]
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    word = "better" if near.second > near.first else "worse"
    verdict = f"{name} is {word} than {first}" if near.is_sure else "No difference is proven"
    return (
        f"{verdict}: IoU within ±25 m {near.first:.3f} to {near.second:.3f}, "
        f"{near.low:+.3f} to {near.high:+.3f} with 95 % confidence. Of {len(pairs)} sets {better} "
        f"got better and {worse} worse."
    )


def _drawn(
    chosen: Mapping[str, Sequence[Pair]],
    models: Mapping[str, EvaluationFolder],
    folder: Path,
) -> list[Picture]:
    moments = [pair.first for pairs in chosen.values() for pair in pairs]
    if not moments:
        return []
    first, second = models
    rig_file = load_optional_rig(models[first].run["arguments"].get("rig"))
    respondents = {name: respondent_of(model) for name, model in models.items()}
    images = draw_moments(moments, respondents, rig_file)
    pictures = []
    for kind, pairs in chosen.items():
        for number, pair in enumerate(pairs):
            image = images.get((pair.first.source, pair.first.stamp_ns))
            if image is None:
                continue
            write_image(folder / f"{second.replace(':', '')}_{kind}_{number}.jpg", image)
            change = (
                f"IoU {pair.first.iou():.2f} with {first}, {pair.second.iou():.2f} with {second}"
            )
            words = f"Camera views with the truth, the maps of {first} and {second}, and the truth."
            where = f"{pair.first.drive}, {pair.first.stamp_ns / 1e9:.2f} s"
            pictures.append(Picture(image, words, f"Got {kind}: {change}; {where}"))
    return pictures


def _values(
    first: str, name: str, found: Mapping[str, Difference], pairs: Sequence[Pair]
) -> dict[str, Any]:
    return {
        "first": first,
        "second": name,
        "pooled": {region: vars(difference) for region, difference in found.items()},
        "frames": [
            {
                "drive": pair.first.drive,
                "stamp_ns": pair.first.stamp_ns,
                "iou": {
                    region: [pair.first.iou(region), pair.second.iou(region)] for region in found
                },
            }
            for pair in pairs
        ],
    }
