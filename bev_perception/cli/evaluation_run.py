# SPDX-License-Identifier: Apache-2.0
"""One evaluation from bags to a folder with figures, pictures and a page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bev_perception.cli.bag_run import METRICS_FILE, load_optional_rig
from bev_perception.cli.evaluation_folder import (
    REPORT_FILE,
    StoredPicture,
    read_evaluation,
    write_frames,
)
from bev_perception.cli.evaluation_report import evaluation_report
from bev_perception.cli.output_directory import write_json, write_run_file
from bev_perception.cli.parser import Arguments, node_name, require
from bev_perception.datasets.drives import find_bags
from bev_perception.evaluation.answers import EngineRespondent, RecordedRespondent, Respondent
from bev_perception.evaluation.evaluate import evaluate
from bev_perception.evaluation.frame_scores import FrameScore, best_median_worst
from bev_perception.evaluation.perturbations import camera_subsets
from bev_perception.evaluation.pictures import draw_moments
from bev_perception.evaluation.retention import measure_retention, with_other_rig
from bev_perception.geometry.rig_file import RigFile
from bev_perception.inference import Engine, load_engine
from bev_perception.model import resolve_weights
from bev_perception.visualization import write_image, write_report


def run_evaluation(arguments: Arguments, folder: Path) -> dict[str, Any]:
    """Evaluates as the command line says and fills the folder.

    Returns:
        The metrics.

    Raises:
        BevError: bags, weights or arguments cannot be used.
    """
    others = other_rigs(arguments.other_rigs)
    require(
        not arguments.recorded or not (arguments.retention or others),
        "--recorded runs no network, so there is no --retention to measure",
    )
    require(
        not (arguments.recorded and arguments.camera_subsets),
        "--recorded runs no network, so there are no --camera-subsets to measure",
    )
    bags = find_bags([Path(bag) for bag in arguments.bags])
    rig_file = load_optional_rig(arguments.rig)
    engine = None if arguments.recorded else engine_of(arguments)
    node = node_name(arguments.node)
    respondent = RecordedRespondent(node) if engine is None else EngineRespondent(engine)
    result = evaluate(bags, respondent, rig_file=rig_file, stride=arguments.stride)
    metrics = dict(result.metrics)
    stride = arguments.retention_stride or arguments.stride
    if engine is not None and (arguments.retention or others):
        metrics["retention"] = _retention(bags, others, engine, rig_file, stride)
    if engine is not None and arguments.camera_subsets:
        metrics["camera_subsets"] = measure_retention(
            bags, engine, rig_file=rig_file, stride=stride, perturbations=camera_subsets
        )
    pictures = _pictures(folder, result.frames, respondent, rig_file, arguments.pictures)
    write_json(folder / METRICS_FILE, metrics)
    write_frames(folder, result.frames, pictures)
    write_run_file(
        folder, "evaluate", {"arguments": arguments.as_dict(), "engine": _said(engine, node)}
    )
    page = evaluation_report(read_evaluation(folder), _command(arguments), Path(arguments.out).name)
    write_report(folder / REPORT_FILE, page)
    return metrics


def engine_of(arguments: Arguments | Mapping[str, Any]) -> Engine:
    """The engine that arguments of add_engine_arguments ask for."""
    return load_engine(
        resolve_weights(arguments["weights"]),
        arguments["device"],
        arguments["precision"],
        arguments["backend"],
    )


def other_rigs(words: Sequence[str]) -> dict[str, list[Path]]:
    """``NAME=BAGS`` as bags by name.

    Raises:
        BevError: there is no name, or no bag.
    """
    found = {}
    for word in words:
        name, equals, path = word.partition("=")
        require(bool(name and equals and path), f"--other-rigs takes NAME=BAGS, got {word!r}")
        found[name] = find_bags([Path(path)])
    return found


def _retention(
    bags: Sequence[Path],
    others: Mapping[str, Sequence[Path]],
    engine: Engine,
    rig_file: RigFile | None,
    stride: int,
) -> dict[str, Any]:
    retention = measure_retention(bags, engine, rig_file=rig_file, stride=stride)
    for name, own in others.items():
        retention = with_other_rig(retention, name, own, engine, stride)
    return retention


def _pictures(
    folder: Path,
    frames: Sequence[FrameScore],
    respondent: Respondent,
    rig_file: RigFile | None,
    count: int,
) -> list[StoredPicture]:
    """Draws the best, median and worst moments into the folder."""
    chosen = best_median_worst(frames, count)
    moments = [score for scores in chosen.values() for score in scores]
    images = draw_moments(moments, {"prediction": respondent}, rig_file)
    stored = []
    for kind, scores in chosen.items():
        for number, score in enumerate(scores):
            image = images.get((score.source, score.stamp_ns))
            if image is None:
                continue
            file = f"{kind}_{number}.jpg"
            write_image(folder / file, image)
            stored.append(StoredPicture(file, _in_words(kind, score), _caption(kind, score)))
    return stored


def _command(arguments: Arguments) -> str:
    """What does it again."""
    words = ["bev", "evaluate", *arguments.bags]
    for name in ("weights", "backend", "device", "precision", "rig", "retention-stride"):
        value = arguments[name.replace("-", "_")]
        words += [f"--{name}", str(value)] if value not in (None, "auto") else []
    flags = ("recorded", "retention", "camera-subsets")
    words += [f"--{name}" for name in flags if arguments[name.replace("-", "_")]]
    words += ["--node", arguments.node] if arguments.node != "bev" else []
    words += ["--other-rigs", *arguments.other_rigs] if arguments.other_rigs else []
    return shlex.join([*words, "--stride", str(arguments.stride), "--out", arguments.out])


def _caption(kind: str, score: FrameScore) -> str:
    return (
        f"{kind.capitalize()}: IoU {score.iou():.2f} within ±25 m; {score.drive}, "
        f"{score.stamp_ns / 1e9:.2f} s"
    )


def _in_words(kind: str, score: FrameScore) -> str:
    return (
        f"One of the {kind} moments: camera views with true and predicted boxes, the predicted map "
        f"from above and the truth; IoU {score.iou():.2f}."
    )


def _said(engine: Engine | None, node: str) -> dict[str, str]:
    if engine is None:
        return {"recorded": node}
    return {"backend": engine.backend, "device": engine.device, "precision": engine.precision}
