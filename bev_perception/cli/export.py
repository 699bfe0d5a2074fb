# SPDX-License-Identifier: Apache-2.0
"""``bev export``: the network as an ONNX file, or an engine built ahead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bev_perception.cli.parser import Arguments, Command, Parser, add_engine_arguments

if TYPE_CHECKING:
    from bev_perception.inference.exported_graph import ModelSource
    from bev_perception.model import SegnetConfig
    from bev_perception.model.graph_layout import GraphLayout


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--out", type=str, default=None, metavar="FILE", help="ONNX file to write; ends in .onnx"
    )
    parser.add_argument(
        "--build-only",
        action="store_true",
        help="write no file; build the engine of this machine into the cache, so that the first "
        "start does not wait for it",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a file that is at --out already"
    )
    add_engine_arguments(parser)
    parser.add_argument("--cameras", type=int, default=4, metavar="N", help="cameras of the rig")
    parser.add_argument(
        "--rig",
        type=str,
        default=None,
        metavar="FILE",
        help="rig file with intrinsics; makes room for its cameras' overlap and sets --cameras",
    )
    parser.add_argument(
        "--raw-images",
        action="store_true",
        help="the graph takes images as the cameras of --rig send them, and the matrices that "
        "resize them; for GPUs, as a processor takes far longer for it than bev's own resizing",
    )


def _run(arguments: Arguments) -> None:
    from bev_perception.cli.parser import require
    from bev_perception.inference.exported_graph import ModelSource
    from bev_perception.model import load_calibrated, resolve_weights

    require(
        (arguments.out is None) == arguments.build_only,
        "give --out FILE.onnx to write a file, or --build-only to fill the cache, not both",
    )
    require(1 <= arguments.cameras <= 64, f"--cameras must be 1 to 64, got {arguments.cameras}")
    require(
        not arguments.raw_images or (arguments.rig is not None and not arguments.build_only),
        "--raw-images needs --rig, which says how large the images are, and --out",
    )
    model, _ = load_calibrated(resolve_weights(arguments.weights))
    source = ModelSource(model, _raw_size(arguments) if arguments.raw_images else None)
    layout = _layout(source, model.config, arguments)
    if arguments.build_only:
        _build(source, layout, arguments)
    else:
        _write(source, layout, Path(arguments.out), arguments)


def _layout(source: ModelSource, config: SegnetConfig, arguments: Arguments) -> GraphLayout:
    if arguments.rig is None:
        return source.layout_for(arguments.cameras)
    from bev_perception.geometry.rig_file import load_rig
    from bev_perception.model import build_lift_geometry
    from bev_perception.perception.preparation import Preparation

    rig = Preparation(load_rig(arguments.rig), config.image_size, config.virtual_cameras).rig
    return source.layout_for(len(rig)).grown_for(build_lift_geometry(rig, config))


def _raw_size(arguments: Arguments) -> tuple[int, int]:
    """(height, width) that has room for every camera's images."""
    from bev_perception.geometry.rig_file import load_rig

    cameras = [entry.camera for entry in load_rig(arguments.rig).cameras.values()]
    return max(one.height for one in cameras), max(one.width for one in cameras)


def _write(source: ModelSource, layout: GraphLayout, path: Path, arguments: Arguments) -> None:
    from bev_perception.cli.parser import require
    from bev_perception.inference.onnx_file import write_onnx

    require(path.suffix == ".onnx", f"--out must end in .onnx, got {path}")
    require(
        arguments.overwrite or not path.exists(),
        f"--out {path} exists; choose another name or add --overwrite",
    )
    precision = "fp32" if arguments.precision == "auto" else arguments.precision
    write_onnx(path, source.graph(layout, precision))
    print(
        f"{path}: {layout.num_cameras} cameras, room for {layout.room()}, {precision}"
        + ("" if layout.raw_size is None else ", resizes images of {}x{}".format(*layout.raw_size))
    )


def _build(source: ModelSource, layout: GraphLayout, arguments: Arguments) -> None:
    from bev_perception.inference.loading import graph_engine

    engine = graph_engine(source, arguments.device, arguments.precision, arguments.backend)
    engine.build(layout)
    print(
        f"{engine.path(layout)}: backend {engine.backend} on {engine.device} in {engine.precision}"
    )


COMMAND = Command(
    name="export",
    summary="the network as an ONNX file, or an engine built ahead",
    description="Writes the network as ONNX for a number of cameras. Images (uint8, as the "
    "preparation leaves them) and the lift's table are inputs, so another calibration needs no "
    "other file. With --build-only it builds the engine that bev run and the node will take from "
    "the cache.",
    examples=(
        ("an ONNX file for four cameras", "bev export --out out/tiny.onnx"),
        (
            "build the TensorRT engine before the vehicle leaves",
            "bev export --build-only --backend tensorrt",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
