# SPDX-License-Identifier: Apache-2.0
"""PyTorch as the inference engine, on the CPU or a CUDA device."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bev_perception.errors import EngineError
from bev_perception.inference.choice import chosen_device, chosen_precision
from bev_perception.inference.engine import RawOutput, check_inputs
from bev_perception.model import GatherTable, Segnet, SegnetConfig, TapTable, load_weights
from bev_perception.model.resnet import BasicBlock, Bottleneck

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

WARM_UP_RUNS = 3
"""Inferences until a network on the CPU runs at its pace: 94 ms, 41 ms, then 38 ms."""


class TorchEngine:
    """Runs a copy of a Segnet; batch norms are folded into convolutions.

    Results do not depend on the thread that asks, only on torch.get_num_threads().

    Args:
        model: left as it is.
        device: "cpu", "cuda", "cuda:N", or "auto" for CUDA where there is one.
        precision: "fp32", "bf16", "fp16", or "auto" for what suits the device.

    Raises:
        EngineError: the device does not exist here, or the precision is unknown.
    """

    def __init__(self, model: Segnet, device: str = "cpu", precision: str = "fp32") -> None:
        self._device = _checked_device(chosen_device(device))
        self._precision = chosen_precision(precision, self._device)
        if self._precision not in PRECISIONS:
            raise EngineError(
                f"unknown precision {precision!r}, expected one of auto, {', '.join(PRECISIONS)}"
            )
        network = copy.deepcopy(model).eval().requires_grad_(False)
        fold_batch_norms(network)
        network = network.to(device=self._device, dtype=PRECISIONS[self._precision])
        self._model = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._moved: tuple[TapTable, TapTable] | None = None

    @property
    def device(self) -> str:
        """Where it runs: "cpu", "cuda" or "cuda:N", never "auto"."""
        return str(self._device)

    @property
    def precision(self) -> str:
        """Its arithmetic: a key of PRECISIONS, never "auto"."""
        return self._precision

    @property
    def config(self) -> SegnetConfig:
        """What the network was built for."""
        return self._model.config

    @torch.inference_mode()
    def infer(self, images: NDArray[np.uint8], taps: TapTable) -> RawOutput:
        """See Engine.infer."""
        check_inputs(self.config, images, taps)
        tensor = torch.from_numpy(np.ascontiguousarray(images)).to(self._device)
        output = self._model(
            tensor.permute(0, 3, 1, 2)[None], self._on_device(taps), with_feature=False
        )
        return RawOutput(
            probability=output.segmentation[0, 0].sigmoid().cpu().numpy(),
            center=output.center[0, 0].cpu().numpy(),
            offset=output.offset[0].contiguous().cpu().numpy(),
        )

    def warm_up(self, num_cameras: int) -> None:
        """Runs on black images, so that the first real ones do not wait for preparations.

        Args:
            num_cameras: of the rig to come.
        """
        images = np.zeros((num_cameras, *self.config.image_size, 3), dtype=np.uint8)
        taps = _any_table(self.config, num_cameras)
        for _ in range(WARM_UP_RUNS):
            self.infer(images, taps)

    def _on_device(self, taps: TapTable) -> TapTable:
        """The table where the network is; it stays there while the same one is used."""
        if self._device.type == "cpu":
            return taps
        if self._moved is None or self._moved[0] is not taps:
            self._moved = taps, taps.to(self._device)
        return self._moved[1]


def load_engine(weights: str | Path, device: str = "auto", precision: str = "auto") -> TorchEngine:
    """An engine from a weights file; by default as quick as this machine allows.

    Raises:
        WeightsError: the file cannot be used.
        EngineError: the device does not exist here, or the precision is unknown.
    """
    model, _ = load_weights(weights)
    return TorchEngine(model, device, precision)


def _any_table(config: SegnetConfig, num_cameras: int) -> TapTable:
    """A table as large as a rig's: every voxel takes four feature cells."""
    voxel_shape = (*config.grid.shape, len(config.heights_m))
    rows, columns = config.feature_shape
    count = 4 * voxel_shape[0] * voxel_shape[1] * voxel_shape[2]
    table = GatherTable(
        torch.arange(count, dtype=torch.int32) % (num_cameras * rows * columns),
        torch.arange(0, count + 1, 4, dtype=torch.int32),
        torch.full((count,), 0.25),
    )
    seen = np.ones(config.grid.shape, dtype=bool)
    return TapTable(table, None, 1, num_cameras, config.feature_shape, voxel_shape, seen)


def fold_batch_norms(network: nn.Module) -> None:
    """Folds every batch norm of an evaluating network into the convolution before it."""
    for module in list(network.modules()):
        if isinstance(module, (BasicBlock, Bottleneck)):
            _fold(module, "conv2", "bn2")
            _fold(module, "conv3", "bn3")
            if module.downsample is not None:
                _fold(module.downsample, "0", "1")
        _fold(module, "conv1", "bn1")


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    children = dict(module.named_children())
    before, after = children.get(convolution), children.get(norm)
    if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
        setattr(module, convolution, fuse_conv_bn_eval(before, after))
        setattr(module, norm, nn.Identity())


def _checked_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"unknown device {name!r}, expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise EngineError(
                f"device {name!r} is asked for, but torch {torch.__version__} sees {count} CUDA "
                f"devices here; use device cpu, or a torch build and driver with CUDA"
            )
    elif device.type != "cpu":
        raise EngineError(f"device {name!r} is not supported, expected auto, cpu, cuda or cuda:N")
    return device
