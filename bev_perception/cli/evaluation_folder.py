# SPDX-License-Identifier: Apache-2.0
"""What ``bev evaluate`` leaves, and ``bev report`` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bev_perception.cli.bag_run import METRICS_FILE
from bev_perception.cli.output_directory import RUN_FILE, read_run_file, write_json
from bev_perception.cli.stored_metrics import check_metrics
from bev_perception.errors import ConfigurationError
from bev_perception.evaluation.frame_scores import FrameScore
from bev_perception.untrusted import parse_json

FRAMES_FILE = "frames.json"
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class StoredPicture:
    """A picture of a moment beside the figures: its file, in words, and a caption."""

    file: str
    alt: str
    caption: str


@dataclass(frozen=True)
class EvaluationFolder:
    """One evaluation.

    Attributes:
        path: its folder.
        metrics: see Evaluation.
        frames: every judged moment.
        pictures: of some of them.
        run: arguments and engine.
    """

    path: Path
    metrics: dict[str, Any]
    frames: tuple[FrameScore, ...]
    pictures: tuple[StoredPicture, ...]
    run: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.path.resolve().name


def write_frames(
    folder: Path, frames: Sequence[FrameScore], pictures: Sequence[StoredPicture]
) -> None:
    """Writes FRAMES_FILE."""
    content = {
        "frames": [frame.to_dict() for frame in frames],
        "pictures": [vars(picture) for picture in pictures],
    }
    write_json(folder / FRAMES_FILE, content)


def read_evaluation(path: Path) -> EvaluationFolder:
    """Reads a folder of ``bev evaluate``.

    Raises:
        ConfigurationError: it is none, or is damaged.
    """
    missing = [
        name for name in (RUN_FILE, METRICS_FILE, FRAMES_FILE) if not (path / name).is_file()
    ]
    if missing:
        raise ConfigurationError(
            f"{path} holds no evaluation ({', '.join(missing)} missing); expected the --out of "
            f"bev evaluate, made by this version"
        )
    try:
        metrics = parse_json((path / METRICS_FILE).read_text(encoding="utf-8"))
        check_metrics(metrics)
        content = parse_json((path / FRAMES_FILE).read_text(encoding="utf-8"))
        frames = tuple(FrameScore.from_dict(values) for values in content["frames"])
        pictures = tuple(StoredPicture(**values) for values in content["pictures"])
    except (ValueError, KeyError, TypeError, AttributeError, ConfigurationError) as error:
        raise ConfigurationError(
            f"the evaluation in {path} is damaged ({str(error)[:300]}); evaluate again"
        ) from error
    return EvaluationFolder(path, metrics, frames, pictures, read_run_file(path))
