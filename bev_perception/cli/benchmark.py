# SPDX-License-Identifier: Apache-2.0
"""``bev benchmark``: which engine is how fast here, and what it costs in accuracy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bev_perception.cli.parser import (
    Arguments,
    Command,
    Parser,
    add_rig_argument,
)
from bev_perception.resources import shipped_weight_names

if TYPE_CHECKING:
    from bev_perception.cli.engine_comparison import Measured

NUM_MOMENTS = 10
RESULT_FILE = "benchmark.json"


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "bags",
        type=str,
        nargs="*",
        metavar="BAG",
        help="labelled bags, or folders of bags, for IoU; without any, noise is timed alone",
    )
    parser.add_argument(
        "--weights",
        type=str,
        default="tiny",
        metavar="NAME|FILE",
        help=f"shipped weights ({', '.join(shipped_weight_names())}) or a .safetensors file of bev "
        "train",
    )
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--backends", type=str, nargs="+", default=[], metavar="NAME", help="default: all"
    )
    parser.add_argument(
        "--precisions", type=str, nargs="+", default=[], metavar="NAME", help="default: all"
    )
    parser.add_argument(
        "--torch-modes",
        type=str,
        nargs="+",
        default=[],
        metavar="NAME",
        help="of PyTorch: eager, graph (CUDA alone), compile; default: auto on the CPU, eager and "
        "graph on CUDA",
    )
    parser.add_argument("--rounds", type=int, default=50, metavar="N", help="timed inferences")
    parser.add_argument(
        "--stride", type=int, default=1, metavar="N", help="judge every N-th labelled set"
    )
    parser.add_argument("--threads", type=int, default=0, help="on the CPU; 0: torch's choice")
    parser.add_argument(
        "--out", type=str, default=None, metavar="DIR", help="folder for benchmark.json"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace results that are in --out already"
    )
    add_rig_argument(parser, "names topics, frames or calibrations that the bags do not tell")


def _run(arguments: Arguments) -> None:
    import torch

    from bev_perception.cli.bag_run import load_optional_rig
    from bev_perception.cli.engine_comparison import (
        available_choices,
        compare,
        judge,
        peak_memory,
        read_moments,
    )
    from bev_perception.cli.parser import require
    from bev_perception.cli.progress import progress
    from bev_perception.datasets.preparation import find_bags
    from bev_perception.inference import BACKENDS, PRECISIONS, TORCH_MODES
    from bev_perception.model import load_weights, resolve_weights

    require(arguments.rounds >= 1, f"--rounds must be at least 1, got {arguments.rounds}")
    require(arguments.stride >= 1, f"--stride must be at least 1, got {arguments.stride}")
    require(arguments.threads >= 0, f"--threads must be 0 or more, got {arguments.threads}")
    _require_known(arguments.backends, BACKENDS, "--backends")
    _require_known(arguments.precisions, PRECISIONS, "--precisions")
    _require_known(arguments.torch_modes, TORCH_MODES, "--torch-modes")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    weights = resolve_weights(arguments.weights)
    config = load_weights(weights)[0].config
    bags = find_bags([Path(bag) for bag in arguments.bags]) if arguments.bags else []
    rig_file = load_optional_rig(arguments.rig)
    choices, reasons = available_choices(
        weights,
        arguments.device,
        arguments.backends,
        arguments.precisions,
        arguments.torch_modes,
    )
    require(bool(choices), f"no engine to compare: {reasons}")
    moments = read_moments(config, bags[0] if bags else None, rig_file, NUM_MOMENTS)
    found = compare(choices, moments, arguments.rounds)
    for choice, measured in zip(progress(choices, "memory", unit="engine"), found):
        measured.peak_mib = peak_memory(choice, moments)
    if bags:
        for choice, measured in zip(choices, found):
            measured.iou = judge(choice, bags, rig_file, arguments.stride)
    if arguments.out is not None:
        _write(Path(arguments.out), arguments, found, [*map(Path, arguments.bags)])
    print(f"{config.image_size} images of {moments.taps.num_cameras} cameras, ", end="")
    print(f"{config.grid.shape} cells, {torch.get_num_threads()} threads")
    print(_table(found))
    for backend, reason in reasons.items():
        print(f"not compared: {backend}: {reason}")


def _require_known(names: Sequence[str], known: Collection[str], option: str) -> None:
    from bev_perception.cli.parser import require

    for name in names:
        require(name in known, f"{option}: unknown {name!r}, expected some of {', '.join(known)}")


def _write(out: Path, arguments: Arguments, found: Sequence[Measured], bags: list[Path]) -> None:
    from bev_perception.cli.output_directory import result_directory, write_json, write_run_file

    with result_directory(out, arguments.overwrite, "benchmark", bags) as folder:
        write_json(folder / RESULT_FILE, {"engines": [one.to_dict() for one in found]})
        write_run_file(folder, "benchmark", {"arguments": arguments.as_dict()})


def _table(found: Sequence[Measured]) -> str:
    from bev_perception.cli.result_tables import text_table

    columns = ["backend", "device", "precision", "least ms", "median ms", "p99 ms", "peak MiB"]
    columns += ["logits mean", "max", "IoU 25 m", "IoU 50 m", "change"]
    reference = next((one for one in found if one.precision == "fp32"), None)
    rows = []
    for one in found:
        values = one.to_dict()
        near, far = (one.iou.get(region) for region in ("within_25m", "within_50m"))
        base = None if reference is None else reference.iou.get("within_50m")
        change = "-" if far is None or base is None else f"{100 * (far - base):+.2f}"
        rows.append(
            [
                one.backend if one.torch_mode == "auto" else f"{one.backend} {one.torch_mode}",
                one.device,
                one.precision,
                f"{values['least_ms']:.1f}",
                f"{values['median_ms']:.1f}",
                f"{values['p99_ms']:.1f}",
                " + ".join(f"{size:.0f}" for size in one.peak_mib.values()),
                f"{one.logit_mean:.1e}",
                f"{one.logit_max:.1e}",
                *("-" if value is None else f"{value:.4f}" for value in (near, far)),
                change,
            ]
        )
    return text_table(columns, rows)


COMMAND = Command(
    name="benchmark",
    summary="which engine is how fast here, and what it costs in accuracy",
    description="Runs every backend in every precision that this machine has. Prints the latency "
    "of the network alone (the least is what a busy machine gives when it is not shared), the most "
    "memory that a process with this engine needs (and its CUDA device), the difference of logits "
    "to PyTorch in fp32, and on labelled bags the IoU with its change in points.",
    examples=(
        ("time alone", "bev benchmark"),
        ("with accuracy on the test towns", "bev benchmark out/towns/test --out out/benchmark"),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
