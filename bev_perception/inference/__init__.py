# SPDX-License-Identifier: Apache-2.0
"""Engines that run a network behind one small interface."""

from bev_perception.inference.engine import Engine, RawOutput, check_inputs
from bev_perception.inference.torch_engine import PRECISIONS, TorchEngine, load_engine

__all__ = ["PRECISIONS", "Engine", "RawOutput", "TorchEngine", "check_inputs", "load_engine"]
