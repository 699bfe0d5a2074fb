# SPDX-License-Identifier: Apache-2.0
"""What "auto" means: the device and the arithmetic that suit this machine."""

from __future__ import annotations

import torch

from bev_perception import processor
from bev_perception.errors import EngineError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def chosen_device(name: str = "auto") -> str:
    """The name itself, or for "auto" CUDA where torch can use it and the CPU elsewhere."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def checked_device(name: str) -> torch.device:
    """A device that exists here.

    Raises:
        EngineError: it does not, or no engine runs on such devices.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"unknown device {name!r}, expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise EngineError(
                f"device {name!r} is asked for, but torch {torch.__version__} sees {count} CUDA "
                f"devices here; use device cpu, or a torch build and driver with CUDA"
            )
    elif device.type != "cpu":
        raise EngineError(f"device {name!r} is not supported, expected auto, cpu, cuda or cuda:N")
    return device


def chosen_precision(name: str, device: torch.device) -> str:
    """The name itself, or for "auto" the quickest that leaves the accuracy as it is.

    On CUDA that is bf16, with which networks are trained, and fp16 on GPUs that only emulate
    it. On a CPU it is bf16 where that is quick (processor.is_quick_in_bf16).
    docs/engines.md has what each costs in accuracy.

    Raises:
        EngineError: the name is none of PRECISIONS.
    """
    if name != "auto" and name not in PRECISIONS:
        raise EngineError(
            f"unknown precision {name!r}, expected one of auto, {', '.join(PRECISIONS)}"
        )
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    return "bf16" if processor.is_quick_in_bf16() else "fp32"
