# SPDX-License-Identifier: Apache-2.0
"""``bev run``: BEV from any bag into an output bag."""

from __future__ import annotations

from pathlib import Path

from bev_perception.cli.parser import (
    Arguments,
    Command,
    Parser,
    add_engine_arguments,
    add_output_arguments,
    add_rig_argument,
)


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("bag", type=str, metavar="BAG", help="bag folder, .mcap or .db3 file")
    add_engine_arguments(parser)
    parser.add_argument(
        "--camera-batch",
        type=int,
        default=0,
        metavar="N",
        help="PyTorch: cameras that go through the encoder at a time, which bounds its memory; 0: "
        "all, and fewer once the memory turns out to be too small",
    )
    parser.add_argument(
        "--torch-mode",
        choices=("auto", "eager", "graph", "compile"),
        default="auto",
        help="PyTorch: auto is graph (one CUDA graph) on a GPU and eager on the processor",
    )
    parser.add_argument(
        "--resize",
        choices=("auto", "host", "graph"),
        default="auto",
        help="where images are resized: before the network or, with PyTorch, by its graph; auto is "
        "graph on a GPU",
    )
    add_rig_argument(parser, "names topics, frames or calibrations that the bag does not tell")
    add_output_arguments(parser)
    parser.add_argument("--pictures", type=int, default=4, metavar="N", help="moments to draw")
    parser.add_argument("--video", action="store_true", help="draw every set into a video")
    parser.add_argument(
        "--track", action="store_true", help="give objects ids and velocities over time"
    )
    parser.add_argument(
        "--residual-pose",
        action="store_true",
        help="measure errors of the cameras' attitude and height in the images, take them out of "
        "the lift and tell them",
    )
    parser.add_argument(
        "--imu",
        action="store_true",
        help="take roll and pitch from the bag's IMU where no ego pose tells them",
    )
    parser.add_argument(
        "--labelled-points",
        action="store_true",
        help="write /bev/labelled_points: every LiDAR point with what the map says of its place",
    )
    parser.add_argument(
        "--instances",
        action="store_true",
        help="write /bev/instances: every occupied cell with the object that it belongs to",
    )


def _run(arguments: Arguments) -> None:
    from bev_perception.cli.bag_run import METRICS_FILE, OUTPUT_BAG, RunOptions, run_bag
    from bev_perception.cli.output_directory import result_directory, write_json, write_run_file
    from bev_perception.cli.parser import require
    from bev_perception.cli.result_tables import accuracy_table, as_text, timing_table

    require(arguments.pictures >= 0, f"--pictures must be 0 or more, got {arguments.pictures}")
    options = RunOptions(
        weights=arguments.weights,
        rig_file=None if arguments.rig is None else Path(arguments.rig),
        device=arguments.device,
        precision=arguments.precision,
        backend=arguments.backend,
        camera_batch=arguments.camera_batch,
        torch_mode=arguments.torch_mode,
        resize=arguments.resize,
        pictures=arguments.pictures,
        video=arguments.video,
        track=arguments.track,
        residual_pose=arguments.residual_pose,
        imu=arguments.imu,
        labelled_points=arguments.labelled_points,
        instances=arguments.instances,
    )
    out = Path(arguments.out)
    inputs = [Path(arguments.bag)]
    with result_directory(out, arguments.overwrite, "run", inputs) as folder:
        result = run_bag(Path(arguments.bag), folder, options)
        write_run_file(folder, "run", {"arguments": arguments.as_dict(), **result.to_dict()})
        if result.metrics is not None:
            write_json(folder / METRICS_FILE, result.metrics)
    if result.metrics is not None:
        print(as_text(accuracy_table(result.metrics)), end="\n\n")
    print(as_text(timing_table(result.timings_ms)), end="\n\n")
    print(f"{result.num_sets} sets; {result.synchronisation}")
    for warning in result.warnings:
        print(warning)
    print(f"output bag: {out / OUTPUT_BAG}")


COMMAND = Command(
    name="run",
    summary="BEV from any bag into an output bag",
    description="Runs perception over a ROS 2 bag. Leaves in --out: the bag 'output' with "
    "/bev/occupancy_grid (0, 100, -1), /bev/probability_grid, /bev/centers and /bev/markers, "
    "pictures, run.json with settings and timings, and metrics.json where the bag has labels.",
    examples=(
        ("the shipped weights on a recording", "bev run drive.mcap --out out/drive"),
        (
            "own weights, topics named in a rig file, with a video",
            "bev run drive --weights out/train/weights.safetensors --rig car.yaml "
            "--video --out out/drive",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
