# SPDX-License-Identifier: Apache-2.0
"""PyTorch as the inference engine, on the CPU or a CUDA device."""

from __future__ import annotations

import logging

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
from bev_perception.inference.compilation import compile_network
from bev_perception.inference.engine import (
    EngineMemoryError,
    RawOutput,
    any_table,
    check_inputs,
    checked_map,
    is_memory_error,
    raw_output,
)
from bev_perception.inference.fused_lift import use_fused_lift
from bev_perception.inference.torch_execution import EagerExecution, GraphExecution
from bev_perception.model import GatherTable, ImageResize, LiftGeometry, Segnet, SegnetConfig
from bev_perception.model.feature_memory import MemoryStep
from bev_perception.model.fused_convolutions import fuse_convolutions
from bev_perception.model.inference_form import InferenceSegnet
from bev_perception.model.winograd import use_winograd

_LOGGER = logging.getLogger(__name__)

WARM_UP_RUNS = 3
"""Inferences until a network on the CPU runs at its pace: 94 ms, 41 ms, then 38 ms."""

TORCH_MODES = {
    "auto": "graph on a CUDA device, eager on the CPU",
    "eager": "one operator after the other",
    "graph": "all operators as one CUDA graph",
    "compile": "operators fused by torch.compile, which takes a minute when the network is loaded; "
    "as one CUDA graph on a CUDA device",
}

RESIZES = {
    "auto": "graph with PyTorch on a CUDA device, host elsewhere",
    "host": "before the network, by perception.Preparation",
    "graph": "by the network's graph; PyTorch alone, others by a file of bev export --raw-images",
}


class TorchEngine:
    """Runs the inference form of a Segnet.

    Results do not depend on the thread that asks, only on torch.get_num_threads().

    Args:
        model: left as it is.
        device: "cpu", "cuda", "cuda:N", or "auto" for CUDA where there is one.
        precision: "fp32", "bf16", "fp16", or "auto" for what suits the device.
        camera_batch: so many cameras go through the encoder at a time, which bounds its memory; 0
            for all, and for fewer once the device's memory turns out to be too small.
        mode: a key of TORCH_MODES.
        resize: a key of RESIZES, where images are resized.

    Raises:
        EngineError: the device does not exist here, a choice is unknown or not for the device, or
            the network takes a sensor that no point cloud can feed.
    """

    def __init__(
        self,
        model: Segnet,
        device: str = "cpu",
        precision: str = "fp32",
        camera_batch: int = 0,
        mode: str = "auto",
        resize: str = "auto",
    ) -> None:
        self._device = checked_device(chosen_device(device))
        self._precision = chosen_precision(precision, self._device)
        self._camera_batch = _checked_camera_batch(camera_batch)
        self._may_shrink = camera_batch == 0
        mode = _checked_mode(mode, self._device)
        self._takes_raw_images = _resizes_in_graph(resize, self._device, model.config)
        try:
            self._network = InferenceSegnet(model)
        except ConfigurationError as error:
            raise EngineError(str(error)) from error
        self._network.cast(self._device, PRECISIONS[self._precision])
        self._specialise(mode)
        self._eager = EagerExecution(
            self._compute, self._device, self._network.dtype, self._network.lifting is not None
        )
        self._as_graph = (
            self._device.type == "cuda"
            and mode in ("auto", "graph", "compile")
            and self._network.lifting is None
        )
        self._execution = self._new_execution()

    def _specialise(self, mode: str) -> None:
        """What makes the same function quicker on this device."""
        if mode == "compile":
            compile_network(self._network, self._device)
        elif self._device.type == "cpu":
            if self._precision == "fp32":
                use_winograd(self._network)
            if self._precision != "fp16":
                fuse_convolutions(self._network)
        if self._device.type == "cuda" and self._network.lifting is None:
            use_fused_lift(self._network, self._device)

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

    @property
    def camera_batch(self) -> int:
        """How many cameras go through the encoder at a time; 0 for all."""
        return self._camera_batch

    @property
    def takes_raw_images(self) -> bool:
        """Whether images go in as cameras send them."""
        return self._takes_raw_images

    @torch.inference_mode()
    def infer(
        self,
        images: NDArray[np.uint8],
        taps: LiftGeometry,
        resize: ImageResize | None = None,
        memory: MemoryStep | None = None,
        sensor_map: Tensor | None = None,
    ) -> RawOutput:
        """See Engine.infer and RememberingEngine.infer.

        Raises:
            EngineError: images, taps or the sensor's map do not fit the network.
            EngineMemoryError: the device has too little memory, also for one camera at a time.
        """
        check_inputs(self.config, images, taps, resize)
        sensor_map = checked_map(self.config, sensor_map)
        tensor = torch.from_numpy(np.ascontiguousarray(images))
        while True:
            try:
                result = self._execution(tensor, taps, resize)
                return self._output(result, taps, memory, sensor_map)
            except (RuntimeError, MemoryError) as error:
                if not is_memory_error(error):
                    raise
                self._make_do_with_less(len(images), error)
            # Here the error is gone, and with it what its frames held.
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def _make_do_with_less(self, num_cameras: int, error: BaseException) -> None:
        """Halves the number of cameras that go through the encoder at a time.

        Raises:
            EngineMemoryError: it is one already, or was chosen by the user.
        """
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        now = min(self._camera_batch or num_cameras, num_cameras)
        if now == 1 or not self._may_shrink:
            raise EngineMemoryError(
                f"{self.device} has too little memory for {num_cameras} images of "
                f"{self.config.image_size} in {self._precision}, {now} at a time: {reason} "
                f"Use precision bf16 or fp16, a smaller model, camera_batch 0, device cpu, or let "
                f"the engine fall back to the CPU"
            ) from error
        self._camera_batch = (now + 1) // 2
        self._network.in_strips = True
        self._execution = self._new_execution()
        _LOGGER.warning(
            "%s has too little memory for %d cameras at a time; going on with %d at a time, which "
            "takes longer: %s",
            self.device,
            now,
            self._camera_batch,
            reason,
        )

    def _new_execution(self) -> EagerExecution | GraphExecution:
        return GraphExecution(self._eager) if self._as_graph else self._eager

    def _compute(
        self, images: Tensor, table: GatherTable | LiftGeometry, resize: ImageResize | None
    ) -> Tensor:
        network, size = self._network, self._camera_batch or len(images)
        if resize is None:
            parts = [network.encode(part) for part in images.split(size)]
        else:
            pairs = zip(images.split(size), resize.split(size))
            parts = [network.encode(part, matrices) for part, matrices in pairs]
        rows = parts[0] if len(parts) == 1 else torch.cat(parts)
        plane = network.lift(rows, table)
        ends_here = network.memory is None and network.sensor_convolution is None
        return network.decode(plane).float() if ends_here else plane

    def _output(
        self,
        result: Tensor,
        taps: LiftGeometry,
        memory: MemoryStep | None,
        sensor_map: Tensor | None,
    ) -> RawOutput:
        """From the maps, or from the BEV feature of a network with memory or a sensor.

        Neither is part of a CUDA graph, as what they hold differs from set to set.
        """
        network = self._network
        if sensor_map is not None:
            result = network.measure(result, sensor_map)
            if network.memory is None:
                return raw_output(network.decode(result).float())
        if network.memory is None:
            return raw_output(result)
        seen = torch.from_numpy(taps.seen).to(self._device)
        # A recorded graph writes its next feature to where this one is.
        plane = result.clone() if self._as_graph and sensor_map is None else result
        maps = network.decode(network.remember(plane, seen, memory)).float()
        recalled = memory is not None and memory.memories[0].recalled
        return raw_output(maps[:-2], maps[-2:] if recalled else None)

    def warm_up(self, num_cameras: int) -> None:
        """Runs on black images, so that the first real ones do not wait for preparations.

        Args:
            num_cameras: of the rig to come.
        """
        images = np.zeros((num_cameras, *self.config.image_size, 3), dtype=np.uint8)
        taps = any_table(self.config, num_cameras)
        for _ in range(WARM_UP_RUNS):
            self.infer(images, taps)


def _checked_camera_batch(camera_batch: int) -> int:
    if camera_batch < 0:
        raise EngineError(f"camera_batch must be 0 (all cameras) or more, got {camera_batch}")
    return camera_batch


def _resizes_in_graph(resize: str, device: torch.device, config: SegnetConfig) -> bool:
    if resize not in RESIZES:
        raise EngineError(f"unknown resize {resize!r}, expected one of {', '.join(RESIZES)}")
    if config.virtual_cameras:
        if resize == "graph":
            raise EngineError(
                "resize graph is not for this network: its images are turned to virtual_cameras "
                "before; use resize auto or host"
            )
        return False
    return resize == "graph" or (resize == "auto" and device.type == "cuda")


def _checked_mode(mode: str, device: torch.device) -> str:
    if mode not in TORCH_MODES:
        raise EngineError(
            f"unknown mode {mode!r} of PyTorch, expected one of {', '.join(TORCH_MODES)}"
        )
    if mode == "graph" and device.type != "cuda":
        raise EngineError(
            f"mode graph records CUDA graphs, and the network runs on {device}; use mode eager or "
            f"compile"
        )
    return mode
