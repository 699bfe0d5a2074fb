# SPDX-License-Identifier: Apache-2.0
"""TensorRT through its own bindings; torch holds the memory on the device."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import EngineError
from bev_perception.inference.engine import EngineMemoryError
from bev_perception.inference.graph_engine import Runner
from bev_perception.model.gather_form import OUTPUT_NAME

WORKSPACE_BYTES = 4 << 30


class TensorRtBackend:
    """Builds engines in the arithmetic of the graph, strongly typed; see GraphBackend.

    Args:
        device: a CUDA device that exists here.
        precision: a key of PRECISIONS.

    Raises:
        EngineError: TensorRT is not installed or its libraries do not load.
    """

    name = "tensorrt"
    keeps_float32 = True

    def __init__(self, device: torch.device, precision: str) -> None:
        if device.type != "cuda":
            raise EngineError(
                f"backend tensorrt runs on CUDA devices alone, not on {device}; use backend "
                f"openvino, onnx or cpu"
            )
        self._tensorrt = tensorrt_bindings()
        self._torch_device = device
        self._logger = self._tensorrt.Logger(self._tensorrt.Logger.WARNING)
        self.device = str(device)
        self.precision = self.graph_precision = precision
        self.library = f"tensorrt {self._tensorrt.__version__}"
        major, minor = torch.cuda.get_device_capability(device)
        name = torch.cuda.get_device_name(device)
        self.hardware = f"{name}, compute capability {major}.{minor}"

    def build(self, onnx: bytes) -> bytes:
        """See GraphBackend; takes minutes."""
        trt = self._tensorrt
        with torch.cuda.device(self._torch_device):
            builder = trt.Builder(self._logger)
            flag = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
            network = builder.create_network(flag)
            parser = trt.OnnxParser(network, self._logger)
            if not parser.parse(onnx):
                reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
                raise EngineError(f"{self.library} does not take the graph: {reasons}")
            config = builder.create_builder_config()
            # Sums of grey levels, and fp32 where it is asked for, are exact without TF32 alone.
            config.clear_flag(trt.BuilderFlag.TF32)
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
            plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineError(
                f"{self.library} could not build an engine for {self.hardware}; its own messages "
                f"above say why. Use backend cuda meanwhile"
            )
        return bytes(plan)

    def load(self, engine: bytes) -> Runner:
        """See GraphBackend."""
        with torch.cuda.device(self._torch_device):
            loaded = self._tensorrt.Runtime(self._logger).deserialize_cuda_engine(engine)
            if loaded is None:
                raise EngineError(f"{self.library} does not accept a stored engine")
            context = loaded.create_execution_context()
        if context is None:
            raise EngineMemoryError(
                f"{self.device} has too little memory for the engine; use a smaller model, "
                f"precision fp16 or device cpu"
            )
        return _TensorRtRunner(loaded, context, self._torch_device)


class _TensorRtRunner:
    """Keeps inputs and output in fixed memory on the device; what stays the same is not copied."""

    def __init__(self, engine: Any, context: Any, device: torch.device) -> None:
        self._engine = engine  # must outlive the context
        self._context = context
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._inputs: dict[str, torch.Tensor] = {}
        shape = tuple(engine.get_tensor_shape(OUTPUT_NAME))
        self._maps = torch.empty(shape, dtype=torch.float32, device=device)
        self._host = torch.empty(shape, dtype=torch.float32, pin_memory=True)
        context.set_tensor_address(OUTPUT_NAME, self._maps.data_ptr())
        self._copied: dict[str, NDArray[Any]] = {}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            for name, values in inputs.items():
                if name == "images" or self._copied.get(name) is not values:
                    self._set(name, values)
                    self._copied[name] = values
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise EngineError("TensorRT failed to run the network; its messages say why")
            self._host.copy_(self._maps, non_blocking=True)
        self._stream.synchronize()
        return self._host.numpy()

    def _set(self, name: str, values: NDArray[Any]) -> None:
        """Copies an input into its place on the device."""
        tensor = torch.from_numpy(values)
        place = self._inputs.get(name)
        if place is None:
            place = self._inputs[name] = torch.empty_like(tensor, device=self._device)
            self._context.set_tensor_address(name, place.data_ptr())
        place.copy_(tensor.pin_memory(), non_blocking=True)


def tensorrt_bindings() -> Any:
    """The package tensorrt.

    Raises:
        EngineError: it is not installed, or is a shell without its libraries.
    """
    try:
        trt = importlib.import_module("tensorrt")
        version = trt.__version__
        trt.Logger  # noqa: B018 - bindings whose libraries are missing import without it
    except (ImportError, OSError, AttributeError) as error:
        raise EngineError(
            f"backend tensorrt needs the package tensorrt with its libraries ({error}); "
            f"pip install 'bev_perception[tensorrt]'"
        ) from error
    if int(version.split(".")[0]) < 10:
        raise EngineError(f"backend tensorrt needs TensorRT 10 or newer, here is {version}")
    return trt
