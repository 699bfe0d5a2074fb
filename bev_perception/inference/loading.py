# SPDX-License-Identifier: Apache-2.0
"""Which library runs a network: the one that is asked for, or the best that is here."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from bev_perception.errors import EngineError
from bev_perception.inference.choice import checked_device, chosen_device, chosen_precision
from bev_perception.inference.engine import Engine
from bev_perception.inference.engine_cache import EngineCache
from bev_perception.inference.exported_graph import GraphSource, ModelSource
from bev_perception.inference.fallback import FallbackEngine
from bev_perception.inference.graph_engine import GraphBackend, GraphEngine
from bev_perception.inference.memory import settle_memory
from bev_perception.inference.onnx_backend import OnnxBackend
from bev_perception.inference.onnx_file import FileSource
from bev_perception.inference.openvino_backend import OpenVinoBackend
from bev_perception.inference.tensorrt_backend import TensorRtBackend
from bev_perception.inference.torch_engine import TorchEngine
from bev_perception.model import Segnet, load_calibrated

_LOGGER = logging.getLogger(__name__)

BACKENDS = {
    "tensorrt": "TensorRT on a CUDA device",
    "cuda": "PyTorch on a CUDA device",
    "openvino": "OpenVINO on the CPU",
    "onnx": "ONNX Runtime on a CUDA device or the CPU",
    "cpu": "PyTorch on the CPU",
}

USUAL_CAMERAS = 4


def load_engine(
    weights: str | Path,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    cpu_fallback: bool = False,
    cache: EngineCache | None = None,
    camera_batch: int = 0,
    torch_mode: str = "auto",
    resize: str = "auto",
) -> Engine:
    """An engine from a weights file; by default as quick as this machine allows.

    Args:
        weights: .safetensors, or an .onnx file of bev export.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto" or a key of PRECISIONS.
        backend: "auto" or a key of BACKENDS. The log says what auto chose and why.
        cpu_fallback: whether the CPU takes over when a CUDA device has too little memory, for
            PyTorch with fewer cameras at a time, too.
        cache: of built engines; default the user's.
        camera_batch, torch_mode, resize: of PyTorch, see TorchEngine.

    Raises:
        WeightsError: the file cannot be used.
        EngineError: the backend, the device or the precision does not exist here, or they do
            not go together.
    """
    path = Path(weights)
    if path.suffix == ".onnx":
        _refuse_torch_options(camera_batch, torch_mode, resize)
        engine = _file_engine(FileSource(path), device, precision, backend, cache)
    else:
        model, _ = load_calibrated(path)
        engine = make_engine(
            model, device, precision, backend, cache, camera_batch, torch_mode, resize
        )
        if cpu_fallback:
            engine = _with_cpu(engine, model, cache)
        del model
    settle_memory()
    return engine


def make_engine(
    model: Segnet,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    cache: EngineCache | None = None,
    camera_batch: int = 0,
    torch_mode: str = "auto",
    resize: str = "auto",
) -> Engine:
    """An engine of a model, see load_engine."""
    place = _device_for(backend, device)

    def torch_engine() -> TorchEngine:
        return TorchEngine(model, str(place), precision, camera_batch, torch_mode, resize)

    if backend in ("cpu", "cuda"):
        return torch_engine()
    try:
        _refuse_torch_options(camera_batch, torch_mode, resize)
        if backend == "auto":
            return _built_engine(model, place, precision, cache)
    except EngineError as error:
        if backend != "auto":
            raise
        chosen = torch_engine()
        _LOGGER.info(
            "backend auto: PyTorch %s on %s in %s, because %s",
            torch.__version__,
            chosen.device,
            chosen.precision,
            error,
        )
        return chosen
    return GraphEngine(ModelSource(model), _graph_backend(backend, place, precision), cache)


def graph_engine(
    source: GraphSource,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    cache: EngineCache | None = None,
) -> GraphEngine:
    """An engine that is built ahead; auto is TensorRT on a CUDA device and OpenVINO elsewhere.

    Raises:
        EngineError: see load_engine; or the backend is PyTorch, which builds nothing.
    """
    if backend in ("cpu", "cuda"):
        raise EngineError(
            f"backend {backend} is PyTorch, which builds no engine ahead; choose tensorrt, "
            f"openvino or onnx"
        )
    place = _device_for(backend, device)
    if backend == "auto":
        backend = "tensorrt" if place.type == "cuda" else "openvino"
    return GraphEngine(source, _graph_backend(backend, place, precision), cache)


def why_unavailable(backend: str) -> str:
    """Why a backend cannot be used here, "" where it can."""
    try:
        place = _device_for(backend, "auto")
        if backend not in ("cpu", "cuda"):
            _graph_backend(backend, place, "auto")
    except EngineError as error:
        return str(error)
    return ""


def _with_cpu(engine: Engine, model: Segnet, cache: EngineCache | None) -> Engine:
    """Where a CUDA device's memory is not enough: PyTorch with fewer cameras, then the CPU."""
    if engine.device == "cpu":
        return engine
    device, precision = engine.device, engine.precision
    if engine.backend != "cuda":
        engine = FallbackEngine(
            engine, lambda: TorchEngine(model, device, precision), f"PyTorch on {device}"
        )
    return FallbackEngine(engine, lambda: make_engine(model, "cpu", "auto", "auto", cache))


def _built_engine(
    model: Segnet, device: torch.device, precision: str, cache: EngineCache | None
) -> Engine:
    """TensorRT where an engine is built already, or OpenVINO on a CPU.

    Raises:
        EngineError: why PyTorch is to be taken here.
    """
    name = "tensorrt" if device.type == "cuda" else "openvino"
    backend = _graph_backend(name, device, precision)
    engine = GraphEngine(ModelSource(model), backend, cache)
    if name == "tensorrt" and not engine.is_built(USUAL_CAMERAS):
        raise EngineError(
            "no TensorRT engine is built for this model and device, which takes minutes; "
            "bev export --build-only --backend tensorrt does"
        )
    _LOGGER.info("backend auto: %s on %s in %s", backend.library, engine.device, engine.precision)
    return engine


def _refuse_torch_options(camera_batch: int, torch_mode: str, resize: str) -> None:
    if camera_batch or torch_mode != "auto":
        raise EngineError(
            "camera_batch and torch_mode are PyTorch's; leave them out, or choose backend cpu or "
            "cuda"
        )
    if resize == "graph":
        raise EngineError(
            "resize graph is PyTorch's; leave it out, choose backend cpu or cuda, or run a file of "
            "bev export --raw-images"
        )


def _file_engine(
    source: FileSource, device: str, precision: str, backend: str, cache: EngineCache | None
) -> Engine:
    if backend == "auto":
        on_cpu = chosen_device(device) == "cpu"
        order = ("openvino", "onnx") if on_cpu else ("tensorrt", "onnx")
        backend = next((name for name in order if not why_unavailable(name)), order[-1])
        _LOGGER.info("backend auto: %s", BACKENDS[backend])
    if backend in ("cpu", "cuda"):
        raise EngineError(
            f"backend {backend} runs weights files, not ONNX files; use backend openvino, onnx or "
            f"tensorrt, or the .safetensors file"
        )
    place = _device_for(backend, device)
    if precision == "auto" and backend != "openvino":
        precision = source.precision
    return GraphEngine(source, _graph_backend(backend, place, precision), cache)


def _device_for(backend: str, device: str) -> torch.device:
    """The device on which a backend is to run.

    Raises:
        EngineError: there is no such backend or device, or they do not go together.
    """
    if backend != "auto" and backend not in BACKENDS:
        raise EngineError(
            f"unknown backend {backend!r}, expected one of auto, {', '.join(BACKENDS)}"
        )
    if device == "auto" and backend in ("tensorrt", "cuda"):
        device = "cuda"
    elif device == "auto" and backend in ("openvino", "cpu"):
        device = "cpu"
    place = checked_device(chosen_device(device))
    if backend in ("openvino", "cpu") and place.type != "cpu":
        raise EngineError(f"backend {backend} runs on the CPU, not on {place}; use device cpu")
    if backend in ("tensorrt", "cuda") and place.type != "cuda":
        raise EngineError(
            f"backend {backend} runs on CUDA devices, not on {place}; use device cuda, or backend "
            f"openvino, onnx or cpu"
        )
    return place


def _graph_backend(name: str, device: torch.device, precision: str) -> GraphBackend:
    if name == "onnx":
        usual = "fp32" if device.type == "cpu" else chosen_precision("auto", device)
        return OnnxBackend(device, usual if precision == "auto" else precision)
    chosen = chosen_precision(precision, device)
    return OpenVinoBackend(chosen) if name == "openvino" else TensorRtBackend(device, chosen)
