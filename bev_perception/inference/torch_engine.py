# SPDX-License-Identifier: Apache-2.0
"""PyTorch as the inference engine, on the CPU or a CUDA device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.errors import ConfigurationError, EngineError
from bev_perception.inference.choice import (
    PRECISIONS,
    checked_device,
    chosen_device,
    chosen_precision,
)
from bev_perception.inference.engine import (
    EngineMemoryError,
    RawOutput,
    any_table,
    check_inputs,
    raw_output,
)
from bev_perception.model import Segnet, SegnetConfig, TapTable
from bev_perception.model.fused_convolutions import fuse_convolutions
from bev_perception.model.inference_form import InferenceSegnet
from bev_perception.model.winograd import use_winograd

WARM_UP_RUNS = 3
"""Inferences until a network on the CPU runs at its pace: 94 ms, 41 ms, then 38 ms."""


class TorchEngine:
    """Runs the inference form of a Segnet.

    Results do not depend on the thread that asks, only on torch.get_num_threads().

    Args:
        model: left as it is.
        device: "cpu", "cuda", "cuda:N", or "auto" for CUDA where there is one.
        precision: "fp32", "bf16", "fp16", or "auto" for what suits the device.

    Raises:
        EngineError: the device does not exist here, the precision is unknown, or the network
            takes more than images.
    """

    def __init__(self, model: Segnet, device: str = "cpu", precision: str = "fp32") -> None:
        self._device = checked_device(chosen_device(device))
        self._precision = chosen_precision(precision, self._device)
        try:
            self._network = InferenceSegnet(model)
        except ConfigurationError as error:
            raise EngineError(str(error)) from error
        self._network.cast(self._device, PRECISIONS[self._precision])
        if self._device.type == "cpu" and self._precision == "fp32":
            use_winograd(self._network)
        if self._device.type == "cpu" and self._precision != "fp16":
            fuse_convolutions(self._network)
        self._moved: tuple[TapTable, TapTable] | None = None

    @property
    def backend(self) -> str:
        """ "cpu" or "cuda", as the device is."""
        return self._device.type

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
        return self._network.config

    @torch.inference_mode()
    def infer(self, images: NDArray[np.uint8], taps: TapTable) -> RawOutput:
        """See Engine.infer.

        Raises:
            EngineMemoryError: the CUDA device has too little memory.
        """
        check_inputs(self.config, images, taps)
        try:
            return raw_output(self._maps(images, taps))
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise EngineMemoryError(
                f"{self.device} has too little memory for {len(images)} images of "
                f"{self.config.image_size} in {self._precision}: {str(error).splitlines()[0]} "
                f"Use precision bf16 or fp16, a smaller model, device cpu, or let the engine fall "
                f"back to the CPU"
            ) from error

    def _maps(self, images: NDArray[np.uint8], taps: TapTable) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(images))
        if self._device.type == "cuda":
            tensor = tensor.pin_memory().to(self._device, non_blocking=True)
        network, table = self._network, self._on_device(taps).forward
        return network.decode(network.lift(network.encode(tensor), table)).float()

    def warm_up(self, num_cameras: int) -> None:
        """Runs on black images, so that the first real ones do not wait for preparations.

        Args:
            num_cameras: of the rig to come.
        """
        images = np.zeros((num_cameras, *self.config.image_size, 3), dtype=np.uint8)
        taps = any_table(self.config, num_cameras)
        for _ in range(WARM_UP_RUNS):
            self.infer(images, taps)

    def _on_device(self, taps: TapTable) -> TapTable:
        """The table where the network is; it stays there while the same one is used."""
        if self._device.type == "cpu":
            return taps
        if self._moved is None or self._moved[0] is not taps:
            self._moved = taps, taps.to(self._device)
        return self._moved[1]
