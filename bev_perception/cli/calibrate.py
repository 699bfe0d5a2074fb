# SPDX-License-Identifier: Apache-2.0
"""``bev calibrate``: weights that know how sure they may be."""

from __future__ import annotations

import shlex
from pathlib import Path

from bev_perception.cli.parser import Arguments, Command, Parser, add_rig_argument
from bev_perception.resources import shipped_weight_names


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "bags",
        type=str,
        nargs="+",
        metavar="BAG",
        help="labelled bags that the weights were not trained on, or folders of bags",
    )
    parser.add_argument(
        "--weights",
        type=str,
        default="tiny",
        metavar="NAME|FILE",
        help=f"shipped weights ({', '.join(shipped_weight_names())}) or a .safetensors file of bev "
        "train",
    )
    parser.add_argument(
        "--out", type=str, required=True, metavar="FILE", help="weights file to write"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a file that is at --out already"
    )
    parser.add_argument(
        "--bias",
        choices=("none", "likelihood", "decision"),
        default="none",
        help="also fit a bias, so that cells cross the probability 0.5: likelihood undoes the "
        "weight that the loss gives to occupied cells, and 0.5 is a true one; decision makes 0.5 "
        "the threshold of the largest IoU",
    )
    parser.add_argument(
        "--half",
        action="store_true",
        help="store numbers as float16: half the file, for weights that are shipped",
    )
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or cuda:N")
    add_rig_argument(parser, "names topics, frames or calibrations that the bags do not tell")
    parser.add_argument(
        "--stride", type=int, default=1, metavar="N", help="take every N-th labelled set"
    )


def _run(arguments: Arguments) -> None:
    from bev_perception.cli.bag_run import load_optional_rig
    from bev_perception.cli.output_directory import writing_to
    from bev_perception.cli.parser import require
    from bev_perception.datasets.drives import find_bags
    from bev_perception.evaluation.answers import EngineRespondent
    from bev_perception.evaluation.calibrate import calibration_values, collect_logits
    from bev_perception.evaluation.points_count import PointsCount
    from bev_perception.inference import TorchEngine
    from bev_perception.model import load_weights, resolve_weights, save_weights
    from bev_perception.model.calibration import CALIBRATION_KEY

    require(arguments.stride >= 1, f"--stride must be at least 1, got {arguments.stride}")
    out = Path(arguments.out)
    require(out.suffix == ".safetensors", f"--out must end in .safetensors, got {out}")
    require(
        arguments.overwrite or not out.exists(),
        f"--out {out} exists; choose another name or add --overwrite",
    )
    bags = find_bags([Path(bag) for bag in arguments.bags])
    model, metadata = load_weights(resolve_weights(arguments.weights))
    respondent = EngineRespondent(TorchEngine(model, arguments.device, "fp32"))
    rig_file = load_optional_rig(arguments.rig)
    points = PointsCount(respondent.points_of)
    histogram = collect_logits(bags, respondent, None, rig_file, arguments.stride, points=points)
    values = calibration_values(histogram, [bag.name for bag in bags], arguments.bias)
    values["command"] = _command(arguments)
    with writing_to(out):
        save_weights(out, model, metadata | {CALIBRATION_KEY: values}, arguments.half)
    print(
        f"{out}: temperature {values['temperature']:.4f}, bias {values['bias']:.4f}, fitted on "
        f"{values['cells']} cells of {len(bags)} bags; negative log likelihood "
        f"{values['nll_before']:.5f} before, {values['nll_after']:.5f} after"
    )
    for finding in points.findings():
        print(finding)


def _command(arguments: Arguments) -> str:
    """What fits it again."""
    words = ["bev", "calibrate", *arguments.bags, "--weights", arguments.weights]
    words += ["--rig", arguments.rig] if arguments.rig else []
    words += [] if arguments.bias == "none" else ["--bias", arguments.bias]
    words += ["--half"] if arguments.half else []
    return shlex.join([*words, "--stride", str(arguments.stride), "--out", arguments.out])


COMMAND = Command(
    name="calibrate",
    summary="makes the probabilities of weights true on validation bags",
    description="Fits the temperature that the occupancy logits are divided by, on every cell "
    "that cameras see but those of vehicles that they hardly see, and writes the weights with "
    "it in their metadata. Everything that runs or exports these weights applies it. Without a "
    "bias no cell moves across the probability 0.5. Training may go on from the file as from the "
    "one before.",
    examples=(
        (
            "calibrate what bev train left",
            "bev calibrate out/towns/validation --weights out/train/weights.safetensors "
            "--out out/train/calibrated.safetensors",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
