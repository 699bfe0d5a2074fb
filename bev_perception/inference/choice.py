# SPDX-License-Identifier: Apache-2.0
"""What "auto" means: the device and the arithmetic that suit this machine."""

from __future__ import annotations

from pathlib import Path

import torch

_CPU_INFO = Path("/proc/cpuinfo")


def chosen_device(name: str = "auto") -> str:
    """The name itself, or for "auto" CUDA where torch can use it and the CPU elsewhere."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def chosen_precision(name: str, device: torch.device) -> str:
    """The name itself, or for "auto" the quickest that leaves the accuracy as it is.

    On CUDA that is bf16, with which networks are trained, and fp16 on GPUs that only emulate
    it. On a CPU it is bf16 with AMX: the tiny model takes 38 ms instead of 88 ms on two cores
    of a Sapphire Rapids. With AVX512_BF16 alone it took longer than fp32 there, and without
    either four times as long.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    return "bf16" if "amx_bf16" in cpu_flags() else "fp32"


def cpu_flags(cpu_info: Path = _CPU_INFO) -> frozenset[str]:
    """Instruction sets of the first processor as Linux names them; none where it does not say."""
    try:
        lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return frozenset(value.split())
    return frozenset()
