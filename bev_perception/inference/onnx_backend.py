# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on the CPU, or on CUDA with the TensorRT and CUDA providers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import EngineError
from bev_perception.inference.engine import EngineMemoryError
from bev_perception.inference.engine_cache import cache_folder
from bev_perception.inference.graph_engine import Runner
from bev_perception.processor import cpu_name

_TENSORRT, _CUDA, _CPU = (f"{name}ExecutionProvider" for name in ("Tensorrt", "CUDA", "CPU"))


class OnnxBackend:
    """Runs the graph as it is; see GraphBackend.

    On the CPU as many threads as torch has when an engine is loaded.

    Args:
        device: that exists here.
        precision: fp32 on the CPU; any on CUDA.

    Raises:
        EngineError: ONNX Runtime is not installed or cannot use the device or the precision.
    """

    name = "onnx"
    keeps_float32 = True

    def __init__(self, device: torch.device, precision: str) -> None:
        self._runtime = _runtime()
        self.library = f"onnxruntime {self._runtime.__version__}"
        offered = self._runtime.get_available_providers()
        if device.type == "cuda" and _CUDA not in offered:
            raise EngineError(
                f"{self.library} has no CUDA provider (it has {', '.join(offered)}); "
                f"pip install onnxruntime-gpu, or use device cpu"
            )
        if device.type == "cpu" and precision != "fp32":
            raise EngineError(
                f"backend onnx computes in fp32 on a CPU, not in {precision}; backends openvino "
                f"and cpu take bf16"
            )
        self.device = str(device)
        self.precision = self.graph_precision = precision
        self._providers = _providers(device, offered)
        names = [name for name, _ in self._providers]
        place = cpu_name() if device.type == "cpu" else torch.cuda.get_device_name(device)
        self.hardware = f"{place or device.type}, {', '.join(names)}"

    def build(self, onnx: bytes) -> bytes:
        """See GraphBackend; the runtime's own preparations are quick enough to make at loading."""
        return onnx

    def load(self, engine: bytes) -> Runner:
        """See GraphBackend."""
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            session = self._runtime.InferenceSession(engine, options, providers=self._providers)
        except Exception as error:  # the runtime's exceptions have no public base
            raise EngineError(f"{self.library} cannot load the network: {error}") from error
        return _OnnxRunner(session, self.device)


class _OnnxRunner:
    def __init__(self, session: Any, device: str) -> None:
        self._session = session
        self._device = device

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        try:
            return self._session.run(None, dict(inputs))[0]
        except Exception as error:  # the runtime's exceptions have no public base
            text = str(error)
            if "allocate memory" in text.lower() or "out of memory" in text.lower():
                raise EngineMemoryError(
                    f"{self._device} has too little memory for the network: {text}; use a smaller "
                    f"model, or device cpu"
                ) from error
            raise EngineError(f"ONNX Runtime failed: {text}") from error


def _providers(device: torch.device, offered: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Providers by preference with their options."""
    cpu: list[tuple[str, dict[str, Any]]] = [(_CPU, {})]
    if device.type == "cpu":
        return cpu
    index = {"device_id": device.index or 0}
    tensorrt = {
        **index,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(cache_folder() / "onnxruntime"),
    }
    chosen = [(_TENSORRT, tensorrt)] if _TENSORRT in offered else []
    return [*chosen, (_CUDA, index), *cpu]


def _runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except (ImportError, OSError) as error:
        raise EngineError(
            f"backend onnx needs the package onnxruntime ({error}); "
            f"pip install 'bev_perception[onnx]'"
        ) from error
