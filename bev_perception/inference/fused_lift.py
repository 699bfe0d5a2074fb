# SPDX-License-Identifier: Apache-2.0
"""Takes the lift's own GPU kernel where it works, gives PyTorch's answers, and is quicker."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable

import torch
from torch import Tensor

from bev_perception.inference.engine import any_table
from bev_perception.model import GatherTable, TapTable
from bev_perception.model.inference_form import InferenceSegnet

_LOGGER = logging.getLogger(__name__)

Gather = Callable[[Tensor, GatherTable], Tensor]

KERNEL = "bev_perception.model.triton_gather"
TRIALS = 10

TOLERANCE = 0.05
"""Of the trial's standard normal features; PyTorch rounds weights to the features' type."""


def use_fused_lift(network: InferenceSegnet, device: torch.device) -> None:
    """Puts the kernel into a network on a CUDA device, or leaves it as it is; the log says why."""
    reason = why_not_fused(network, device)
    if reason:
        _LOGGER.info("the lift runs as PyTorch's embedding_bag: %s", reason)
    else:
        network.gather = importlib.import_module(KERNEL).triton_gather
        _LOGGER.info("the lift runs as a Triton kernel")


@torch.inference_mode()
def why_not_fused(network: InferenceSegnet, device: torch.device) -> str:
    """Why the kernel is not to be used for this network here, "" where it is."""
    try:
        fused: Gather = importlib.import_module(KERNEL).triton_gather
    except ImportError as error:
        return f"Triton is not installed ({error})"
    config = network.config
    num_rows = config.feature_shape[0] * config.feature_shape[1]
    rows = torch.randn(num_rows, config.latent_dim, device=device).to(network.dtype)
    taps = any_table(config, 1)
    assert isinstance(taps, TapTable)
    table = taps.forward.to(device)
    try:
        difference = float((fused(rows, table) - network.gather(rows, table)).abs().max())
        if not difference <= TOLERANCE:
            return f"the Triton kernel's answers differ by {difference:.1e}"
        seconds, usual = (_seconds(each, rows, table) for each in (fused, network.gather))
    except torch.OutOfMemoryError:
        return "too little memory to try the Triton kernel"
    except Exception as error:  # Triton's compiler has errors of many kinds
        return f"the Triton kernel does not work: {type(error).__name__}: {error}"
    if seconds > usual:
        return f"the Triton kernel is slower, {1e3 * seconds:.2f} against {1e3 * usual:.2f} ms"
    return ""


def _seconds(function: Gather, rows: Tensor, table: GatherTable) -> float:
    """Of one run."""
    _wait(rows.device)
    started = time.perf_counter()
    for _ in range(TRIALS):
        function(rows, table)
    _wait(rows.device)
    return (time.perf_counter() - started) / TRIALS


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
