# SPDX-License-Identifier: Apache-2.0
"""Inference engines behind one small interface."""

from bev_perception.inference.choice import PRECISIONS
from bev_perception.inference.engine import (
    Engine,
    EngineMemoryError,
    RawOutput,
    check_inputs,
    infer,
    takes_raw_images,
)
from bev_perception.inference.engine_room import make_room
from bev_perception.inference.loading import BACKENDS, load_engine, make_engine, why_unavailable
from bev_perception.inference.memory import give_back_memory
from bev_perception.inference.torch_engine import RESIZES, TORCH_MODES, TorchEngine

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "RESIZES",
    "TORCH_MODES",
    "Engine",
    "EngineMemoryError",
    "RawOutput",
    "TorchEngine",
    "check_inputs",
    "give_back_memory",
    "infer",
    "load_engine",
    "make_engine",
    "make_room",
    "takes_raw_images",
    "why_unavailable",
]
