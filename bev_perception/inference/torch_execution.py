# SPDX-License-Identifier: Apache-2.0
"""How a PyTorch network is set going: one operator after the other, or as one CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from bev_perception.model import GatherTable, ImageResize, LiftGeometry, TapTable

_LOGGER = logging.getLogger(__name__)

Compute = Callable[[Tensor, GatherTable | LiftGeometry, ImageResize | None], Tensor]
"""Images (S, H, W, 3) uint8, a table or geometry and what resizes raw images, all on the device,
to maps (K + 3, Y, X) float32."""

Capture = Callable[[Callable[[], Tensor]], tuple[Callable[[], object], Tensor]]
"""Records a function; gives what runs it again, and the tensor that then holds its result."""

SPARE_TAPS = 1.1
"""How many times a table's taps a CUDA graph has room for, so that others fit, too."""

LARGEST_DIFFERENCE = 0.05
"""Between the maps of a CUDA graph and of the operators that it recorded, in bf16 included."""


class EagerExecution:
    """One operator after the other.

    Args:
        compute: the network.
        device: where it is.
        dtype: of its features; the table's weights are converted once, not in every run.
        whole: whether the network takes a geometry as it is, and not the table in it.
    """

    def __init__(
        self, compute: Compute, device: torch.device, dtype: torch.dtype, whole: bool = False
    ) -> None:
        self._compute = compute
        self.device = device
        self._dtype = dtype
        self._whole = whole
        self._converted: tuple[LiftGeometry, GatherTable] | None = None
        self._there: tuple[LiftGeometry, LiftGeometry] | None = None
        self._moved: tuple[ImageResize, ImageResize] | None = None

    def __call__(self, images: Tensor, taps: LiftGeometry, resize: ImageResize | None) -> Tensor:
        """Images (S, H, W, 3) uint8 in host memory and a table to maps on the device."""
        if self.device.type == "cuda":
            images = images.pin_memory().to(self.device, non_blocking=True)
        if self._whole or not isinstance(taps, TapTable):
            return self._compute(images, self.geometry(taps), self.resize(resize))
        return self._compute(images, self.table(taps), self.resize(resize))

    def geometry(self, taps: LiftGeometry) -> LiftGeometry:
        """The geometry where the network is; it stays there while the same one is used."""
        if self._there is None or self._there[0] is not taps:
            self._there = taps, taps.to(self.device)
        return self._there[1]

    def table(self, taps: TapTable) -> GatherTable:
        """The table where the network is; it stays there while the same one is used."""
        if self._converted is None or self._converted[0] is not taps:
            table = taps.forward.to(self.device)
            table = replace(table, weights=table.weights.to(self._dtype))
            self._converted = taps, table
        return self._converted[1]

    def resize(self, resize: ImageResize | None) -> ImageResize | None:
        """The matrices where the network is, as long as they are the same ones."""
        if resize is None:
            return None
        if self._moved is None or self._moved[0] is not resize:
            there = ImageResize(resize.rows.to(self.device), resize.columns.to(self.device))
            self._moved = resize, there
        return self._moved[1]

    def compute(self, images: Tensor, table: GatherTable, resize: ImageResize | None) -> Tensor:
        """The network on what is on its device already."""
        return self._compute(images, table, resize)


class GraphExecution:
    """All operators as one CUDA graph: one launch in place of hundreds.

    A graph reads from fixed memory, so images, table and matrices are copied there. Tables vary in
    length; unused taps are at the end and weigh nothing. A longer table than there is room for, or
    another number of cameras, is recorded anew. Where recording fails, or gives other maps,
    operators run one after the other as before, and the log says why.

    Args:
        eager: what is recorded.
        capture: records; default CUDA's graphs.
    """

    def __init__(self, eager: EagerExecution, capture: Capture | None = None) -> None:
        self._eager = eager
        self._capture = _cuda_capture(eager.device) if capture is None else capture
        self._recorded: _Recorded | None = None
        self._works = True

    def __call__(self, images: Tensor, taps: LiftGeometry, resize: ImageResize | None) -> Tensor:
        """See EagerExecution; the maps stay valid until the next call."""
        if not self._works or not isinstance(taps, TapTable):
            return self._eager(images, taps, resize)
        if self._recorded is None or not self._recorded.takes(images, taps.forward, resize):
            return self._recording(images, taps, resize)
        return self._recorded.run(images, taps, resize)

    def _recording(self, images: Tensor, taps: TapTable, resize: ImageResize | None) -> Tensor:
        """Records what this moment needs; its own maps come from the operators."""
        self._recorded = None  # before the next one takes memory
        maps = self._eager(images, taps, resize)
        try:
            recorded = _Recorded(self._eager, self._capture, images, taps, resize)
            difference = float((recorded.run(images, taps, resize) - maps).abs().max())
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            return self._given_up(maps, str(error).splitlines()[0])
        if not difference <= LARGEST_DIFFERENCE:
            return self._given_up(maps, f"its maps differ by {difference:.1e}")
        self._recorded = recorded
        return maps

    def _given_up(self, maps: Tensor, reason: str) -> Tensor:
        self._works = False
        _LOGGER.warning("operators run one by one, as a CUDA graph does not work here: %s", reason)
        return maps


class _Recorded:
    """One recorded graph and the memory that it reads from."""

    def __init__(
        self,
        eager: EagerExecution,
        capture: Capture,
        images: Tensor,
        taps: TapTable,
        resize: ImageResize | None,
    ) -> None:
        self._eager = eager
        table, matrices = eager.table(taps), eager.resize(resize)
        room = int(SPARE_TAPS * len(table.indices)) + 1
        self._images = torch.empty_like(images, device=eager.device)
        self._host = torch.empty_like(images, pin_memory=eager.device.type == "cuda")
        self._table = GatherTable(
            table.indices.new_zeros(room),
            torch.zeros_like(table.offsets),
            table.weights.new_zeros(room),
        )
        self._matrices = (
            None
            if matrices is None
            else ImageResize(matrices.rows.clone(), matrices.columns.clone())
        )
        self._taps: TapTable | None = None
        self._resize: ImageResize | None = None
        self._fill(images, taps, resize)
        self._replay, self._maps = capture(
            lambda: eager.compute(self._images, self._table, self._matrices)
        )

    def takes(self, images: Tensor, table: GatherTable, resize: ImageResize | None) -> bool:
        """Whether there is room."""
        return (
            images.shape == self._images.shape
            and len(table.indices) <= len(self._table.indices)
            and table.offsets.shape == self._table.offsets.shape
            and (resize is None) == (self._matrices is None)
        )

    def run(self, images: Tensor, taps: TapTable, resize: ImageResize | None) -> Tensor:
        """Maps of what takes() accepts."""
        self._fill(images, taps, resize)
        self._replay()
        return self._maps

    def _fill(self, images: Tensor, taps: TapTable, resize: ImageResize | None) -> None:
        """Copies what is not there already."""
        self._host.copy_(images)
        self._images.copy_(self._host, non_blocking=True)
        if taps is not self._taps:
            self._fill_table(self._eager.table(taps))
            self._taps = taps
        if resize is not self._resize and self._matrices is not None and resize is not None:
            self._matrices.rows.copy_(resize.rows)
            self._matrices.columns.copy_(resize.columns)
            self._resize = resize

    def _fill_table(self, table: GatherTable) -> None:
        used = len(table.indices)
        self._table.indices[:used].copy_(table.indices)
        self._table.weights[:used].copy_(table.weights)
        self._table.indices[used:].zero_()
        self._table.weights[used:].zero_()
        self._table.offsets.copy_(table.offsets)


def _cuda_capture(device: torch.device) -> Capture:
    def capture(run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        with torch.cuda.device(device):
            # Libraries choose their algorithms and take their memory before the recording.
            stream = torch.cuda.Stream(device)
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(3):
                    run()
            torch.cuda.current_stream(device).wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream):
                maps = run()
        return graph.replay, maps

    return capture
