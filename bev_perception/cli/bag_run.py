# SPDX-License-Identifier: Apache-2.0
"""Perception over a whole bag: output bag, metrics, pictures, video. Shared by run and demo."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bev_perception.bags import BagReader, BagWriter
from bev_perception.cli.run_pictures import RunPictures
from bev_perception.geometry import BevOutput, FrameSet, ObjectBox
from bev_perception.geometry.rig_file import RigFile, load_rig_file
from bev_perception.inference import load_engine
from bev_perception.model import shipped_weights
from bev_perception.perception import Pipeline, PipelineSettings, Synchronizer, frame_sets
from bev_perception.visualization import Picture

NANOSECONDS = 1_000_000_000
OUTPUT_BAG = "output"
METRICS_FILE = "metrics.json"


@dataclass(frozen=True)
class RunOptions:
    """What can be chosen about a run over a bag.

    Attributes:
        weights: name of shipped weights or a file.
        rig_file: for bags that need one.
        device, precision: of the network.
        pictures: how many moments to draw, spread evenly.
        video: draw every set into a video.
        track: give objects ids and velocities over time.
    """

    weights: str = "tiny"
    rig_file: Path | None = None
    device: str = "cpu"
    precision: str = "fp32"
    pictures: int = 0
    video: bool = False
    track: bool = False


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

    @property
    def warnings(self) -> list[str]:
        """One sentence per camera that could not always be used."""
        return [
            f"camera {name}: no usable image in {sum(causes.values())} of {self.num_sets} sets ("
            + ", ".join(f"{cause} {count}" for cause, count in causes.items())
            + "); bev inspect says more"
            for name, causes in self.bad_sets.items()
            if causes
        ]

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


def resolve_weights(name: str) -> Path:
    """A file if the text looks like one, else shipped weights of that name.

    Raises:
        WeightsError: no shipped weights have that name.
    """
    path = Path(name)
    if path.suffix or path.exists() or len(path.parts) != 1:
        return path
    return shipped_weights(name)


def load_optional_rig(path: str | Path | None) -> RigFile | None:
    """The rig file if one is given."""
    return None if path is None else load_rig_file(path)


def run_bag(bag: Path, folder: Path, options: RunOptions) -> RunResult:
    """Runs perception over a bag and leaves the results in a folder.

    Args:
        bag: images, calibration and perhaps labels.
        folder: exists; gets ``output`` (a bag), pictures and the video.
        options: see there.

    Raises:
        BevError: the bag, the weights or the rig file cannot be used.
    """
    rig_file = load_optional_rig(options.rig_file)
    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(bag, rig_file))
        rig = reader.rig()
        engine = load_engine(resolve_weights(options.weights), options.device, options.precision)
        settings = PipelineSettings(track=options.track)
        pipeline = Pipeline(engine, rig, settings)
        synchronizer = Synchronizer(rig.names)
        pictures = stack.enter_context(
            RunPictures(
                rig,
                folder,
                reader.stamp_range_ns,
                options.pictures,
                options.video,
                bool(reader.label_stamps_ns),
            )
        )
        writer = stack.enter_context(BagWriter(folder / OUTPUT_BAG))
        result = RunResult(model=engine.config.to_dict(), settings=settings.to_dict())
        judge = _Judge(bool(reader.label_stamps_ns))
        timings = _Timings()
        # Closed before an error is told, so that the bar does not stand on its line.
        sets = stack.enter_context(
            closing(
                _with_progress(
                    timings.reading(frame_sets(reader, synchronizer)), reader.stamp_range_ns
                )
            )
        )
        for frame_set in sets:
            output = pipeline.process(frame_set)
            if frame_set.world_T_base is not None:
                writer.write_pose(frame_set.stamp_ns, frame_set.world_T_base)
            writer.write_output(output, settings.occupancy_threshold)
            truth = reader.objects(frame_set.stamp_ns)
            judge.update(output, truth)
            timings.update(output.timings_ms)
            pictures.add(frame_set, output, truth)
            _count_health(result.bad_sets, output)
            result.num_sets += 1
        result.synchronisation = synchronizer.statistics.describe()
    result.metrics = judge.metrics()
    result.timings_ms = timings.summary()
    result.pictures, result.video = pictures.pictures, pictures.video_path
    return result


class _Judge:
    """Metrics where a bag has labels."""

    def __init__(self, has_labels: bool) -> None:
        self._evaluator = None
        if has_labels:
            from bev_perception.training.evaluate import Evaluator

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


class _Timings:
    """Durations per stage over a run."""

    def __init__(self) -> None:
        self._durations: dict[str, list[float]] = defaultdict(list)

    def reading(self, sets: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """The sets, with the time to get each (reading, decoding, synchronising) noted."""
        started = time.perf_counter()
        for frame_set in sets:
            self._durations["read"].append((time.perf_counter() - started) * 1e3)
            yield frame_set
            started = time.perf_counter()

    def update(self, timings_ms: Mapping[str, float]) -> None:
        for stage, duration in timings_ms.items():
            self._durations[stage].append(duration)

    def summary(self) -> dict[str, dict[str, float]]:
        return {
            stage: {
                "median": round(float(np.median(values)), 2),
                "p95": round(float(np.percentile(values, 95)), 2),
            }
            for stage, values in self._durations.items()
        }


def _with_progress(
    sets: Iterator[FrameSet], stamp_range_ns: tuple[int, int]
) -> Generator[FrameSet, None, None]:
    """The sets with a bar over the seconds of the recording."""
    first, last = stamp_range_ns
    layout = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s of the recording [{elapsed}]"
    with tqdm(desc="perceive", total=(last - first) / NANOSECONDS, bar_format=layout) as bar:
        for frame_set in sets:
            yield frame_set
            bar.update((frame_set.stamp_ns - first) / NANOSECONDS - bar.n)


def _count_health(bad_sets: dict[str, Counter[str]], output: BevOutput) -> None:
    for name, health in output.health.items():
        counter = bad_sets.setdefault(name, Counter())
        if not health.ok:
            counter[health.cause] += 1
