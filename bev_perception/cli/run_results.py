# SPDX-License-Identifier: Apache-2.0
"""What is collected about a drive, output by output: metrics, durations, pictures, trouble."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from tqdm import tqdm

from bev_perception.bags import BagReader
from bev_perception.cli.run_pictures import RunPictures
from bev_perception.geometry import BevOutput, FrameSet, ObjectBox
from bev_perception.visualization import Picture, Table

NANOSECONDS = 1_000_000_000


@dataclass
class RunResult:
    """What a run found, with everything a report shows.

    Attributes:
        num_sets: synchronised sets processed.
        metrics: of Evaluator.compute, or None without labels.
        timings_ms: per stage {"median", "p95"}, milliseconds.
        bad_sets: per camera, how many sets it could not be used in, by cause.
        synchronisation: one line for people.
        pictures: those drawn.
        video: its file, or None.
        model: the network's configuration.
        settings: the pipeline's.
        accuracy_note: what a reader of the metrics should know.
        findings: further sentences that ask for attention.
        tables: further tables for the report.
    """

    num_sets: int = 0
    metrics: dict[str, Any] | None = None
    timings_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    bad_sets: dict[str, Counter[str]] = field(default_factory=dict)
    synchronisation: str = ""
    pictures: list[Picture] = field(default_factory=list)
    video: Path | None = None
    model: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    accuracy_note: str = ""
    findings: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """One sentence per camera that could not always be used, and the findings."""
        return [
            f"camera {name}: no usable image in {sum(causes.values())} of {self.num_sets} sets ("
            + ", ".join(f"{cause} {count}" for cause, count in causes.items())
            + "); bev inspect says more"
            for name, causes in self.bad_sets.items()
            if causes
        ] + self.findings

    def to_dict(self) -> dict[str, Any]:
        """Plain values for run.json, without the metrics, which have their own file."""
        return {
            "sets": self.num_sets,
            "timings_ms": self.timings_ms,
            "unusable_images": {name: dict(causes) for name, causes in self.bad_sets.items()},
            "synchronisation": self.synchronisation,
            "model": self.model,
            "pipeline": self.settings,
        }


class ResultCollector:
    """Judges, draws and counts outputs of a bag. A context manager: leaving ends the video.

    Args:
        reader: of the images, with labels perhaps.
        folder: gets pictures and the video.
        pictures: how many moments to draw, spread evenly.
        video: draw every set into a video.
    """

    def __init__(self, reader: BagReader, folder: Path, pictures: int, video: bool) -> None:
        self._reader = reader
        labelled = bool(reader.label_stamps_ns)
        self._judge = _Judge(labelled)
        self._durations: dict[str, list[float]] = defaultdict(list)
        self._pictures = RunPictures(
            reader.rig(), folder, reader.stamp_range_ns, pictures, video, labelled
        )
        self._result = RunResult()

    def __enter__(self) -> ResultCollector:
        self._pictures.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pictures.__exit__(kind, error, traceback)

    def add(self, frame_set: FrameSet, output: BevOutput) -> None:
        """One moment: images, and what perception said of them."""
        truth = self._reader.objects(frame_set.stamp_ns)
        self._judge.update(output, truth)
        self._pictures.add(frame_set, output, truth)
        for stage, duration in output.timings_ms.items():
            self.add_durations(stage, [duration])
        for name, health in output.health.items():
            counter = self._result.bad_sets.setdefault(name, Counter())
            if not health.ok:
                counter[health.cause] += 1
        self._result.num_sets += 1

    def add_durations(self, stage: str, milliseconds: Iterable[float]) -> None:
        """More durations of a stage."""
        self._durations[stage].extend(milliseconds)

    def result(self) -> RunResult:
        """All of it, once the collector has been left."""
        result = self._result
        result.metrics = self._judge.metrics()
        result.timings_ms = {
            stage: _median_and_p95(values) for stage, values in self._durations.items()
        }
        result.pictures, result.video = self._pictures.pictures, self._pictures.video_path
        return result


def with_progress(
    sets: Iterator[FrameSet], stamp_range_ns: tuple[int, int], description: str
) -> Generator[FrameSet, None, None]:
    """The sets with a bar over the seconds of the recording."""
    first, last = stamp_range_ns
    layout = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s of the recording [{elapsed}]"
    with tqdm(desc=description, total=(last - first) / NANOSECONDS, bar_format=layout) as bar:
        for frame_set in sets:
            yield frame_set
            bar.update((frame_set.stamp_ns - first) / NANOSECONDS - bar.n)


class _Judge:
    """Metrics where a bag has labels."""

    def __init__(self, has_labels: bool) -> None:
        self._evaluator = None
        if has_labels:
            from bev_perception.evaluation.evaluator import Evaluator

            self._evaluator = Evaluator()
        self._judged = 0

    def update(self, output: BevOutput, truth: tuple[ObjectBox, ...] | None) -> None:
        if self._evaluator is None or truth is None:
            return
        level_T_base = output.level_T_base
        self._evaluator.update(output, [box.transformed(level_T_base) for box in truth])
        self._judged += 1

    def metrics(self) -> dict[str, Any] | None:
        if self._evaluator is None or not self._judged:
            return None
        return self._evaluator.compute()


def _median_and_p95(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(float(np.median(values)), 2),
        "p95": round(float(np.percentile(values, 95)), 2),
    }
