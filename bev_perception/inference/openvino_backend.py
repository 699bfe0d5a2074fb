# SPDX-License-Identifier: Apache-2.0
"""OpenVINO on the CPU."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import EngineError
from bev_perception.inference.graph_engine import Runner
from bev_perception.processor import cpu_name

_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoBackend:
    """Takes a graph in fp32 and computes in fp32 or bf16; see GraphBackend.

    As many threads as torch has when an engine is loaded.

    Raises:
        EngineError: OpenVINO is not installed, or the precision is none of its.
    """

    name = "openvino"
    device = "cpu"
    graph_precision = "fp32"

    def __init__(self, precision: str) -> None:
        if precision not in _HINTS:
            raise EngineError(
                f"backend openvino computes in fp32 and bf16, not in {precision}; choose one"
            )
        self._openvino = _openvino()
        self._core = self._openvino.Core()
        self.precision = precision
        self.keeps_float32 = precision == "fp32"
        self.library = f"openvino {self._openvino.get_version()}"
        self.hardware = cpu_name() or "cpu"

    def build(self, onnx: bytes) -> bytes:
        """See GraphBackend."""
        try:
            compiled = self._core.compile_model(
                self._core.read_model(onnx), "CPU", self._properties()
            )
            stored = compiled.export_model()
        except RuntimeError as error:
            raise EngineError(
                f"{self.library} cannot build the network: {error}; choose backend cpu"
            ) from error
        return bytes(stored.getvalue() if hasattr(stored, "getvalue") else stored)

    def load(self, engine: bytes) -> Runner:
        """See GraphBackend."""
        try:
            compiled = self._core.import_model(engine, "CPU", self._properties())
            return _OpenVinoRunner(compiled.create_infer_request())
        except RuntimeError as error:
            raise EngineError(f"{self.library} does not accept an engine: {error}") from error

    def _properties(self) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Pinned threads would wait for a core that other work holds.
            "ENABLE_CPU_PINNING": False,
        }


class _OpenVinoRunner:
    def __init__(self, request: Any) -> None:
        self._request = request

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        try:
            return self._request.infer(dict(inputs), share_inputs=True, share_outputs=True)[0]
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {error}") from error


def _openvino() -> Any:
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        raise EngineError(
            f"backend openvino needs the package openvino ({error}); "
            f"pip install 'bev_perception[openvino]'"
        ) from error
