# SPDX-License-Identifier: Apache-2.0
"""Engines of one model side by side: time, memory, and what each costs in accuracy."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.bags import BagReader
from bev_perception.errors import EngineError
from bev_perception.evaluation.evaluate import evaluate_bags
from bev_perception.geometry import Rig
from bev_perception.geometry.rig_file import RigFile, load_rig
from bev_perception.inference import BACKENDS, PRECISIONS, Engine, load_engine, why_unavailable
from bev_perception.model import LiftGeometry, SegnetConfig, build_lift_geometry
from bev_perception.perception import Synchronizer, frame_sets
from bev_perception.perception.preparation import Preparation
from bev_perception.resources import config_path

_MEBIBYTE = 1 << 20
_SATURATION = 1e-6
"""Probabilities closer to 0 or 1 than this count as this far, as logits have no end."""

USUAL_MODES = {"cuda": ("eager", "graph")}
"""Of PyTorch, by backend, where none are asked for."""

_REGIONS = ("within_25m", "within_50m")


@dataclass(frozen=True)
class Choice:
    """What load_engine is asked for."""

    weights: Path
    device: str
    backend: str
    precision: str
    torch_mode: str = "auto"

    def load(self) -> Engine:
        """The engine."""
        return load_engine(
            self.weights, self.device, self.precision, self.backend, torch_mode=self.torch_mode
        )


@dataclass
class Measured:
    """What was found out about an engine.

    Attributes:
        backend, device, precision: of the engine.
        torch_mode: how PyTorch runs it.
        durations_ms: of single inferences.
        peak_mib: of a process that holds this engine alone, and of the CUDA device.
        logit_mean, logit_max: difference of occupancy logits to PyTorch on the CPU in fp32.
        iou: by region; empty without labelled bags.
    """

    backend: str
    device: str
    precision: str
    torch_mode: str = "auto"
    durations_ms: list[float] = field(default_factory=list)
    peak_mib: Mapping[str, float] = field(default_factory=dict)
    logit_mean: float = 0.0
    logit_max: float = 0.0
    iou: Mapping[str, float | None] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "backend": self.backend,
            "device": self.device,
            "precision": self.precision,
            "torch_mode": self.torch_mode,
            "least_ms": round(float(np.min(self.durations_ms)), 2),
            "median_ms": round(float(np.median(self.durations_ms)), 2),
            "p99_ms": round(float(np.percentile(self.durations_ms, 99)), 2),
            "peak_mib": dict(self.peak_mib),
            "logit_difference_mean": self.logit_mean,
            "logit_difference_max": self.logit_max,
            "iou": dict(self.iou),
        }


@dataclass(frozen=True)
class Moments:
    """Inputs on which engines are compared.

    Attributes:
        images: of several moments, (S, H, W, 3) uint8 each.
        taps: of their rig.
    """

    images: Sequence[NDArray[np.uint8]]
    taps: LiftGeometry


def available_choices(
    weights: Path,
    device: str,
    backends: Sequence[str],
    precisions: Sequence[str],
    torch_modes: Sequence[str] = (),
) -> tuple[list[Choice], dict[str, str]]:
    """What can be compared here, and why the rest cannot, by backend."""
    choices, reasons = [], {}
    for backend in backends or BACKENDS:
        reasons[backend] = why_unavailable(backend)
        on_cpu = device == "cpu" or not torch.cuda.is_available()
        usual = {"onnx": ("fp32",)} if on_cpu else {}
        possible = usual.get(backend, ("fp32", "bf16") if on_cpu else tuple(PRECISIONS))
        if not reasons[backend]:
            wanted = [name for name in possible if name in (precisions or PRECISIONS)]
            is_torch = backend in ("cpu", "cuda")
            modes = (torch_modes or USUAL_MODES.get(backend, ("auto",))) if is_torch else ("auto",)
            choices += [
                Choice(weights, device, backend, name, mode) for name in wanted for mode in modes
            ]
    return choices, {name: text for name, text in reasons.items() if text}


def read_moments(
    config: SegnetConfig, bag: Path | None, rig_file: RigFile | None, count: int
) -> Moments:
    """The first sets of a bag, or noise for the default rig where no bag is given."""
    if bag is None:
        rig = load_rig(config_path("rigs/default.yaml"))
        generator = np.random.default_rng(0)
        shape = (len(rig), *config.image_size, 3)
        images = [generator.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]
        return Moments(images, _taps(rig, config))
    with BagReader(bag, rig_file) as reader:
        rig = reader.rig()
        preparation = Preparation(rig, config.image_size, config.virtual_cameras)
        sets = islice(frame_sets(reader, Synchronizer(rig.names)), count)
        return Moments([preparation.prepare(one).images for one in sets], _taps(rig, config))


def compare(choices: Sequence[Choice], moments: Moments, rounds: int) -> list[Measured]:
    """Times all engines in turns, so that all see the same disturbances."""
    engines = [choice.load() for choice in choices]
    found = [
        Measured(engine.backend, engine.device, engine.precision, choice.torch_mode)
        for engine, choice in zip(engines, choices)
    ]
    reference = load_engine(choices[0].weights, "cpu", "fp32", "cpu") if choices else None
    for engine, measured in zip(engines, found):
        engine.warm_up(moments.taps.num_cameras)
        differences = list(_logit_differences(engine, reference, moments))
        measured.logit_mean = float(np.mean([mean for mean, _ in differences]))
        measured.logit_max = float(np.max([largest for _, largest in differences]))
    for number in range(rounds):
        images = moments.images[number % len(moments.images)]
        for engine, measured in zip(engines, found):
            started = time.perf_counter()
            engine.infer(images, moments.taps)
            measured.durations_ms.append((time.perf_counter() - started) * 1e3)
    return found


def peak_memory(choice: Choice, moments: Moments) -> dict[str, float]:
    """MiB that a fresh process needs at most for this engine, and on its CUDA device."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak_memory, (choice, moments.images[0], moments.taps))


def _peak_memory(choice: Choice, images: NDArray[np.uint8], taps: LiftGeometry) -> dict[str, float]:
    engine = choice.load()
    for _ in range(3):
        engine.infer(images, taps)
    found = {"process": _peak_resident_mib()}
    if engine.device != "cpu":
        free, total = torch.cuda.mem_get_info()
        found["device"] = (total - free) / _MEBIBYTE
    return {name: round(value) for name, value in found.items()}


def _peak_resident_mib() -> float:
    """Of this process. Linux's ru_maxrss would begin with that of the process that started it."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024.0
    return 0.0


def judge(choice: Choice, bags: Sequence[Path], rig: RigFile | None, stride: int) -> dict[str, Any]:
    """IoU of an engine over labelled bags, by region."""
    metrics = evaluate_bags(bags, choice.load(), rig_file=rig, stride=stride)
    return {region: metrics["iou"].get(region) for region in _REGIONS}


def _taps(rig: Rig, config: SegnetConfig) -> LiftGeometry:
    preparation = Preparation(rig, config.image_size, config.virtual_cameras)
    return build_lift_geometry(preparation.rig, config)


def _logit_differences(
    engine: Engine, reference: Engine | None, moments: Moments
) -> Iterator[tuple[float, float]]:
    """Mean and largest difference of each moment."""
    if reference is None or not moments.images:
        raise EngineError("there is nothing to compare: no engine, or no moment in the bag")
    for images in moments.images:
        first, second = (
            torch.from_numpy(one.infer(images, moments.taps).probability).logit(_SATURATION)
            for one in (engine, reference)
        )
        difference = (first - second).abs()
        yield float(difference.mean()), float(difference.max())
