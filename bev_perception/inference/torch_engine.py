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
from bev_perception.inference.engine import RawOutput, check_inputs
from bev_perception.model import Segnet, SegnetConfig, TapTable, load_weights
from bev_perception.model.resnet import BasicBlock, Bottleneck

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchEngine:
    """Runs a copy of a Segnet; batch norms are folded into convolutions.

    Args:
        model: left as it is.
        device: "cpu", "cuda" or "cuda:N".
        precision: "fp32" or "bf16" (quick where the processor has AMX or the GPU tensor cores).

    Raises:
        EngineError: the device does not exist here, or the precision is unknown.
    """

    def __init__(self, model: Segnet, device: str = "cpu", precision: str = "fp32") -> None:
        if precision not in PRECISIONS:
            raise EngineError(
                f"unknown precision {precision!r}, expected one of {', '.join(PRECISIONS)}"
            )
        self._device = _checked_device(device)
        network = copy.deepcopy(model).eval().requires_grad_(False)
        fold_batch_norms(network)
        network = network.to(device=self._device, dtype=PRECISIONS[precision])
        self._model = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

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
            tensor.permute(0, 3, 1, 2)[None], taps.to(self._device), with_feature=False
        )
        return RawOutput(
            probability=output.segmentation[0, 0].sigmoid().cpu().numpy(),
            center=output.center[0, 0].cpu().numpy(),
            offset=output.offset[0].contiguous().cpu().numpy(),
        )


def load_engine(weights: str | Path, device: str = "cpu", precision: str = "fp32") -> TorchEngine:
    """An engine from a weights file.

    Raises:
        WeightsError: the file cannot be used.
        EngineError: the device does not exist here, or the precision is unknown.
    """
    model, _ = load_weights(weights)
    return TorchEngine(model, device, precision)


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
        raise EngineError(f"unknown device {name!r}, expected cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise EngineError(
                f"device {name!r} is asked for, but torch {torch.__version__} sees {count} CUDA "
                f"devices here; use device cpu, or a torch build and driver with CUDA"
            )
    elif device.type != "cpu":
        raise EngineError(f"device {name!r} is not supported, expected cpu, cuda or cuda:N")
    return device
