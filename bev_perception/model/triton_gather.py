# SPDX-License-Identifier: Apache-2.0
"""The lift as one GPU kernel: every voxel's taps are read, weighed and summed in registers.

Sums are in float32 whatever the features are. Importing it needs Triton, which PyTorch for CUDA
brings. With TRITON_INTERPRET=1 in the environment it also runs, slowly, on a CPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from bev_perception.model.taps import GatherTable

BLOCK_VOXELS = 32
"""Voxels of one program; their taps mostly lie in the same cache lines."""


@triton.jit
def _gather_kernel(
    rows,
    indices,
    offsets,
    weights,
    out,
    num_out,
    channels: tl.constexpr,
    padded_channels: tl.constexpr,
    block: tl.constexpr,
):
    voxel = tl.program_id(0) * block + tl.arange(0, block)
    channel = tl.arange(0, padded_channels)
    known = voxel < num_out
    stored = channel < channels
    begin = tl.load(offsets + voxel, mask=known, other=0)
    end = tl.load(offsets + voxel + 1, mask=known, other=0)
    total = tl.zeros((block, padded_channels), dtype=tl.float32)
    for step in range(tl.max(end - begin, axis=0)):
        tap = begin + step
        taken = tap < end
        # Offsets into large feature maps do not fit into 32 bits.
        row = tl.load(indices + tap, mask=taken, other=0).to(tl.int64)
        weight = tl.load(weights + tap, mask=taken, other=0.0).to(tl.float32)
        value = tl.load(
            rows + row[:, None] * channels + channel[None, :],
            mask=taken[:, None] & stored[None, :],
            other=0.0,
        )
        total += weight[:, None] * value.to(tl.float32)
    place = voxel.to(tl.int64)[:, None] * channels + channel[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=known[:, None] & stored[None, :])


def triton_gather(rows: Tensor, table: GatherTable) -> Tensor:
    """What model.lift.gather computes: weighted sums of rows (N, C), same type as rows."""
    rows = rows.contiguous()
    num_out, channels = len(table.offsets) - 1, rows.shape[1]
    out = torch.empty(num_out, channels, dtype=rows.dtype, device=rows.device)
    _gather_kernel[(triton.cdiv(num_out, BLOCK_VOXELS),)](
        rows,
        table.indices,
        table.offsets,
        table.weights,
        out,
        num_out,
        channels,
        triton.next_power_of_2(channels),
        BLOCK_VOXELS,
    )
    return out
