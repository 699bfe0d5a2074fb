# SPDX-License-Identifier: Apache-2.0
"""Perception over a whole bag: output bag, metrics, pictures, video. Shared by run and demo."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from bev_perception.bags import BagReader, BagWriter
from bev_perception.cli.output_poses import OutputPoses
from bev_perception.cli.readable_clouds import ReadableClouds
from bev_perception.cli.readable_frames import readable_frames
from bev_perception.cli.readable_imu import ReadableImu
from bev_perception.cli.run_results import ResultCollector, RunResult, with_progress
from bev_perception.geometry import CameraFrame, FrameSet
from bev_perception.geometry.rig_file import RigFile, load_rig_file
from bev_perception.inference import load_engine
from bev_perception.model import resolve_weights
from bev_perception.perception import Pipeline, PipelineSettings, Synchronizer, frame_sets
from bev_perception.perception.instance_cells import instance_cells
from bev_perception.perception.point_labels import labelled_points
from bev_perception.residual_pose.sentences import described, problems

OUTPUT_BAG = "output"
METRICS_FILE = "metrics.json"


@dataclass(frozen=True)
class RunOptions:
    """What can be chosen about a run over a bag.

    Attributes:
        weights: name of shipped weights or a file.
        rig_file: for bags that need one.
        device, precision, backend, camera_batch, torch_mode, resize: of the network.
        pictures: how many moments to draw, spread evenly.
        video: draw every set into a video.
        track: give objects ids and velocities over time.
        residual_pose: measure errors of the cameras' attitude and height and take them out.
        imu: take roll and pitch from the bag's IMU where no ego pose tells them.
        labelled_points: write every point of the bag's LiDAR, or of the network's radar, with what
            the map says of its place.
        instances: write every occupied cell with the object that it belongs to.
    """

    weights: str = "tiny"
    rig_file: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    camera_batch: int = 0
    torch_mode: str = "auto"
    resize: str = "auto"
    pictures: int = 0
    video: bool = False
    track: bool = False
    residual_pose: bool = False
    imu: bool = False
    labelled_points: bool = False
    instances: bool = False


def load_optional_rig(path: str | Path | None) -> RigFile | None:
    """The rig file if one is given."""
    return None if path is None else load_rig_file(path)


def run_bag(bag: Path, folder: Path, options: RunOptions) -> RunResult:
    """Runs perception over a bag and leaves the results in a folder.

    Args:
        bag: images, calibration and perhaps labels.
        folder: exists; gets ``output`` (a bag, in the frames of the source), pictures and the
            video.
        options: see there.

    Raises:
        BevError: the bag, the weights or the rig file cannot be used.
    """
    rig_file = load_optional_rig(options.rig_file)
    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(bag, rig_file))
        rig = reader.rig()
        engine = load_engine(
            resolve_weights(options.weights),
            options.device,
            options.precision,
            options.backend,
            camera_batch=options.camera_batch,
            torch_mode=options.torch_mode,
            resize=options.resize,
        )
        settings = PipelineSettings(track=options.track, residual_pose=options.residual_pose)
        pipeline = Pipeline(engine, rig, settings)
        synchronizer: Synchronizer[CameraFrame] = Synchronizer(rig.names)
        collector = stack.enter_context(
            ResultCollector(reader, folder, options.pictures, options.video)
        )
        writer = stack.enter_context(BagWriter(folder / OUTPUT_BAG, base_frame=reader.base_frame))
        poses = OutputPoses(reader, writer)
        frames = readable_frames(reader, synchronizer)
        clouds = _clouds(reader, engine.config.sensor, options.labelled_points)
        imu = ReadableImu(reader) if options.imu else None
        sets = _timed(frame_sets(reader, synchronizer, frames, clouds, imu), collector)
        # Closed before an error is told, so that the bar does not stand on its line.
        sets = stack.enter_context(closing(with_progress(sets, reader.stamp_range_ns, "perceive")))
        for frame_set in sets:
            output = pipeline.process(frame_set)
            poses.write(frame_set)
            writer.write_output(output, settings.occupancy_threshold)
            if options.instances:
                writer.write_instances(output.stamp_ns, instance_cells(output, settings))
            if options.labelled_points and frame_set.points is not None:
                threshold, height_m = settings.occupancy_threshold, settings.object_height_m
                table = labelled_points(frame_set.points, output, threshold, height_m)
                writer.write_labelled_points(output.stamp_ns, table)
            collector.add(frame_set, output)
    result = collector.result()
    pipeline.settle()
    if pipeline.residual is not None:
        told = problems(pipeline.residual) or [f"at the end {described(pipeline.residual)}"]
        result.findings += [f"residual pose: {sentence}" for sentence in told]
    result.findings += [
        f"camera {name}: {causes['out of order']} images are older than the one recorded before "
        f"them and were left out"
        for name, causes in synchronizer.statistics.dropped.items()
        if causes["out of order"]
    ]
    result.findings += [*reader.refused_transforms, *reader.rig_changes.sentences()]
    result.findings += poses.findings
    result.findings += [] if clouds is None else clouds.findings
    result.findings += [] if imu is None else imu.findings
    result.synchronisation = synchronizer.statistics.describe()
    chosen = {
        "backend": engine.backend,
        "device": engine.device,
        "precision": engine.precision,
    }
    result.model, result.settings = engine.config.to_dict() | chosen, settings.to_dict()
    return result


def _clouds(reader: BagReader, sensor: str, labelled: bool) -> ReadableClouds | None:
    """Clouds for the network and for labels; a network of cameras alone gets a LiDAR's labelled."""
    uses = ["the network answered from images alone"] if sensor != "none" else []
    uses += ["no points are labelled for"] if labelled else []
    if not uses:
        return None
    return ReadableClouds(reader, "lidar" if sensor == "none" else sensor, " and ".join(uses))


def _timed(sets: Iterator[FrameSet], collector: ResultCollector) -> Iterator[FrameSet]:
    """The sets, with the time to get each (reading, decoding, synchronising) noted."""
    started = time.perf_counter()
    for frame_set in sets:
        collector.add_durations("read", [(time.perf_counter() - started) * 1e3])
        yield frame_set
        started = time.perf_counter()
