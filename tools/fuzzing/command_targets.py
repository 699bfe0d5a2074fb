# SPDX-License-Identifier: Apache-2.0
"""Whole commands over spoiled inputs: what a reader lets through must not break what follows."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch

from bev_perception.cli.main import main
from bev_perception.datasets.preparation import ExtractionSettings, prepare_bag
from bev_perception.datasets.prepared_bag import PreparedBag
from bev_perception.errors import BevError
from bev_perception.model import Segnet, save_weights
from bev_perception.ros.playable_bag import PlayableBag
from bev_perception.training.checkpoint_file import DurableCheckpointIO, newest_checkpoint
from fuzzing.bag_targets import bag_messages, rewrite_bag, small_bag, spoil_bag
from fuzzing.data_targets import spoil_json
from fuzzing.model_targets import CONFIG
from fuzzing.mutations import mutated_bytes

ON_CPU = ("--backend", "cpu", "--device", "cpu", "--precision", "fp32")


def command(*arguments: object) -> None:
    """Runs ``bev`` in this process.

    Raises:
        BevError: it refused its input.
        AssertionError: any other exit code than 0, 1 (findings) and 2.
    """
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        code = main([str(argument) for argument in arguments])
    if code == 2:
        raise BevError(errors.getvalue().splitlines()[-1])
    assert code in (0, 1), f"exit code {code}: {errors.getvalue()[-300:]}"


def _prepare_bag(folder: Path) -> None:
    small_bag(folder / "bag")


def _prepare_drive(folder: Path) -> None:
    """A bag, and weights."""
    small_bag(folder / "bag", count=5)
    _prepare_weights(folder)


def _prepare_weights(folder: Path) -> None:
    torch.manual_seed(0)
    save_weights(folder / "net.safetensors", Segnet(CONFIG), {"recipe": "none"})


def _prepare_recorded(folder: Path) -> None:
    """A bag of images, labels and outputs, as bev record leaves it."""
    _prepare_drive(folder)
    command("run", folder / "bag", "--weights", folder / "net.safetensors", *ON_CPU, "--track",
            "--pictures", 0, "--out", folder / "run")  # fmt: skip
    outputs = [
        entry for entry in bag_messages(folder / "run" / "output") if "/bev/" in entry[0].topic
    ]
    rewrite_bag(folder, sorted(bag_messages(folder / "bag") + outputs, key=itemgetter(1)), {})
    shutil.rmtree(folder / "run")
    (folder / "net.safetensors").unlink()


def _prepare_evaluations(folder: Path) -> None:
    _prepare_drive(folder)
    for name in ("first", "second"):
        command("evaluate", folder / "bag", "--weights", folder / "net.safetensors", *ON_CPU,
                "--pictures", 1, "--out", folder / name)  # fmt: skip


def _spoil_one(pattern: str) -> Callable[[Path, random.Random], None]:
    def spoil(folder: Path, rng: random.Random) -> None:
        path = rng.choice(sorted(path for path in folder.glob(pattern) if path.is_file()))
        if path.suffix == ".json":
            spoil_json(path, rng)
        else:
            path.write_bytes(mutated_bytes(path.read_bytes(), rng))

    return spoil


def _run(folder: Path, out: Path) -> None:
    command("run", folder / "bag", "--weights", folder / "net.safetensors", *ON_CPU, "--imu",
            "--residual-pose", "--track", "--pictures", 1, "--out", out / "run")  # fmt: skip


def _doctor(folder: Path, out: Path) -> None:
    command("doctor", folder / "bag", "--out", out / "doctor")


def _inspect(folder: Path, out: Path) -> None:
    command("inspect", folder / "bag", "--pictures", 1, "--out", out / "inspect")


def _evaluate_recorded(folder: Path, out: Path) -> None:
    command("evaluate", folder / "bag", "--recorded", "--pictures", 1, "--out", out / "evaluation")


def _extract(folder: Path, out: Path) -> None:
    command("extract", folder / "bag", "--jobs", 1, "--min-distance-m", 0, "--out", out / "data")


def _view(folder: Path, out: Path) -> None:
    command("view", folder / "bag", "--save", out / "view.rrd")


def _report(folder: Path, out: Path) -> None:
    command("report", folder / "first", folder / "second", "--pictures", 1, "--out", out / "report")


def _prepare_data_set(folder: Path) -> None:
    small_bag(folder / "bag")
    command("extract", folder / "bag", "--jobs", 1, "--out", folder / "data")


def _resume_extraction(folder: Path, out: Path) -> None:
    """Extraction goes on in a folder that an earlier one left."""
    shutil.copytree(folder / "data", out / "data")
    command("extract", folder / "bag", "--jobs", 1, "--out", out / "data")


def _prepare_results(folder: Path) -> None:
    small_bag(folder / "bag")
    command("inspect", folder / "bag", "--pictures", 1, "--out", folder / "results")


def _overwrite(folder: Path, out: Path) -> None:
    """Results that an earlier command left are replaced."""
    shutil.copytree(folder / "results", out / "results")
    command("inspect", folder / "bag", "--pictures", 1, "--out", out / "results", "--overwrite")


def _play(folder: Path, out: Path) -> None:
    """All that bev play reads of a bag, without publishing it."""
    bag = PlayableBag(folder / "bag")
    try:
        bag.static_transforms()
        for _ in bag.entries(loops=False):
            pass
    finally:
        bag.close()


def _prepare_checkpoints(folder: Path) -> None:
    writer = DurableCheckpointIO()
    for step in range(2):
        state = {"state_dict": {"weight": torch.ones(3, 2)}, "global_step": step}
        writer.save_checkpoint(state, folder / "last.ckpt")


def _resume_training(folder: Path, out: Path) -> None:
    newest_checkpoint(folder)


def _prepare_prepared_bag(folder: Path) -> None:
    small_bag(folder / "bag")
    prepare_bag(folder / "bag", folder / "prepared", ExtractionSettings(CONFIG.image_size))
    shutil.rmtree(folder / "bag")


def _read_prepared_bag(folder: Path, out: Path) -> None:
    bag = PreparedBag(folder / "prepared")
    for index in range(len(bag)):
        bag.sample(index)


TARGETS: dict[str, tuple[Any, ...]] = {
    "bev_run": (_prepare_drive, spoil_bag, _run),
    "bev_doctor": (_prepare_bag, spoil_bag, _doctor),
    "bev_inspect": (_prepare_bag, spoil_bag, _inspect),
    "bev_extract": (_prepare_bag, spoil_bag, _extract),
    "bev_view": (_prepare_bag, spoil_bag, _view),
    "bev_play": (_prepare_bag, spoil_bag, _play),
    "bev_evaluate": (_prepare_recorded, spoil_bag, _evaluate_recorded),
    "bev_report": (_prepare_evaluations, _spoil_one("[fs]*/*"), _report),
    "data_set_folder": (_prepare_data_set, _spoil_one("data/**/*"), _resume_extraction),
    "result_folder": (_prepare_results, _spoil_one("results/*.json"), _overwrite),
    "prepared_bag": (_prepare_prepared_bag, _spoil_one("prepared/*"), _read_prepared_bag),
    "run_checkpoints": (_prepare_checkpoints, _spoil_one("*.ckpt"), _resume_training),
}
READERS = ("bev_play", "prepared_bag", "run_checkpoints")
"""Of these, those that take no longer than a reader."""
