# SPDX-License-Identifier: Apache-2.0
"""``bev import-checkpoint``: weights from a checkpoint of the original Simple-BEV."""

from __future__ import annotations

from pathlib import Path

from bev_perception.cli.parser import Arguments, Command, Parser, require


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "checkpoint",
        type=str,
        metavar="FILE",
        help="what the original's training saved, model-*.pth; nothing in it is executed",
    )
    parser.add_argument(
        "--out",
        type=str,
        required=True,
        metavar="FILE",
        help="the weights to write, .safetensors; it must not exist, see --overwrite",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --out")
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        default=[448, 800],
        metavar=("HEIGHT", "WIDTH"),
        help="pixels of the images that it learned from, multiples of 16",
    )
    parser.add_argument(
        "--half-extent",
        type=float,
        default=50.0,
        metavar="M",
        help="metres from the grid's middle to its sides",
    )
    parser.add_argument(
        "--resolution", type=float, default=0.5, metavar="M", help="metres per cell of the grid"
    )
    parser.add_argument(
        "--num-heights", type=int, default=8, metavar="N", help="Y of the original's Z, Y, X"
    )
    parser.add_argument(
        "--camera-position",
        type=float,
        nargs=3,
        default=[0.0, 0.0, 1.5],
        metavar=("X", "Y", "Z"),
        help="metres in base_link of the camera that is the original's reference: the grid's "
        "middle, and 1 m above that of its heights",
    )
    parser.add_argument(
        "--sampling",
        choices=("simple_bev", "exact"),
        default="simple_bev",
        help="simple_bev reads features where the original reads them, up to a feature cell "
        "beside the right place, and so gives its answers; exact is for training on",
    )


def _run(arguments: Arguments) -> None:
    out, checkpoint = Path(arguments.out), Path(arguments.checkpoint)
    _check_place(out, checkpoint, arguments.overwrite)
    from bev_perception.cli.output_directory import writing_to
    from bev_perception.model import save_weights
    from bev_perception.model.simple_bev import SimpleBevSetting, load_simple_bev

    x, y, z = arguments.camera_position
    height, width = arguments.image_size
    setting = SimpleBevSetting(
        image_size=(height, width),
        half_extent_m=arguments.half_extent,
        resolution_m=arguments.resolution,
        camera_position=(x, y, z),
        num_heights=arguments.num_heights,
        sampling=arguments.sampling,
    )
    model, metadata = load_simple_bev(checkpoint, setting)
    with writing_to(out):
        save_weights(out, model, metadata)
    config = model.config
    beside = "" if config.sensor == "none" else f", {config.sensor} beside images"
    print(
        f"{config.encoder}, {config.latent_dim} channels, {len(config.heights_m)} heights, images "
        f"of {height}x{width}, {config.grid.num_x} x {config.grid.num_y} cells of "
        f"{config.grid.resolution:g} m, sampling {config.sampling}{beside}"
    )
    print(f"weights: {out}")


def _check_place(out: Path, checkpoint: Path, overwrite: bool) -> None:
    require(out.suffix == ".safetensors", f"--out {out} must end in .safetensors")
    require(not out.is_dir(), f"--out {out} is a folder; give a file in it")
    same = out.exists() and checkpoint.exists() and out.samefile(checkpoint)
    require(not same, f"--out {out} is the checkpoint itself; choose another name")
    require(
        overwrite or not (out.exists() or out.is_symlink()),
        f"--out {out} exists; choose another name, or replace it with --overwrite",
    )


COMMAND = Command(
    name="import-checkpoint",
    summary="weights from a checkpoint of the original Simple-BEV",
    description="Turns a checkpoint of the public Simple-BEV code (ResNet-101 or ResNet-50; "
    "cameras alone, with radar or with LiDAR) into weights that give the same answers on a grid "
    "in base_link, offsets in metres. What the checkpoint does not say about itself are "
    "options; their defaults are the published nuScenes setting.",
    examples=(
        (
            "the published camera network, its grid around the vehicle",
            "bev import-checkpoint model-000025000.pth --out out/simple_bev.safetensors",
        ),
        (
            "the same cells as the original's on nuScenes, whose front camera is there",
            "bev import-checkpoint model-000025000.pth --out out/simple_bev.safetensors "
            "--camera-position 1.70 0.02 1.51",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
