# SPDX-License-Identifier: Apache-2.0
"""An engine around any library that runs ONNX graphs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import EngineError
from bev_perception.inference.engine import RawOutput, any_table, check_inputs, raw_output
from bev_perception.inference.engine_cache import EngineCache
from bev_perception.inference.exported_graph import FORM, GraphSource
from bev_perception.model import SegnetConfig, TapTable
from bev_perception.model.gather_form import PaddedTaps, TapLayout, padded

_LOGGER = logging.getLogger(__name__)

WARM_UP_RUNS = 3


class Runner(Protocol):
    """A built engine of one layout, ready to run."""

    def run(self, images: NDArray[np.uint8], taps: PaddedTaps) -> NDArray[np.float32]:
        """Images (S, H, W, 3) and their table to maps (4, Y, X), valid until the next run."""


class GraphBackend(Protocol):
    """A library that runs graphs, on one device in one precision.

    Attributes:
        name: a key of BACKENDS.
        device: "cpu" or "cuda[:N]".
        precision: a key of PRECISIONS.
        graph_precision: of the graph it wants; the library may compute in another one itself.
        library: name and version.
        hardware: what else built engines depend on.
    """

    name: str
    device: str
    precision: str
    graph_precision: str
    library: str
    hardware: str

    def build(self, onnx: bytes) -> bytes:
        """A graph to an engine that can be stored.

        Raises:
            EngineError: the library cannot take the graph.
        """

    def load(self, engine: bytes) -> Runner:
        """A stored engine, ready to run.

        Raises:
            EngineError: the library does not accept it.
        """


class GraphEngine:
    """Runs a network's graphs; builds one where none fits the rig.

    Args:
        source: of graphs.
        backend: what runs them.
        cache: where built engines are kept; default the user's.
    """

    def __init__(
        self, source: GraphSource, backend: GraphBackend, cache: EngineCache | None = None
    ) -> None:
        self._source = source
        self._backend = backend
        self._cache = EngineCache() if cache is None else cache
        self._layout: TapLayout | None = None
        self._runner: Runner | None = None
        self._padded: tuple[TapTable, PaddedTaps] | None = None

    @property
    def config(self) -> SegnetConfig:
        """What the network was built for."""
        return self._source.config

    @property
    def backend(self) -> str:
        """Which library runs it: a key of BACKENDS."""
        return self._backend.name

    @property
    def device(self) -> str:
        """Where it runs: "cpu", "cuda" or "cuda:N"."""
        return self._backend.device

    @property
    def precision(self) -> str:
        """Its arithmetic: a key of PRECISIONS."""
        return self._backend.precision

    def infer(self, images: NDArray[np.uint8], taps: TapTable) -> RawOutput:
        """See Engine.infer.

        Raises:
            EngineMemoryError: the device has too little memory.
        """
        check_inputs(self.config, images, taps)
        runner, table = self._ready_for(taps)
        maps = runner.run(np.ascontiguousarray(images), table)
        return raw_output(torch.from_numpy(maps))

    def warm_up(self, num_cameras: int) -> None:
        """Builds or loads the engine for so many cameras and runs it.

        Args:
            num_cameras: of the rig to come.
        """
        images = np.zeros((num_cameras, *self.config.image_size, 3), dtype=np.uint8)
        taps = any_table(self.config, num_cameras)
        for _ in range(WARM_UP_RUNS):
            self.infer(images, taps)
        self._padded = None

    def build(self, layout: TapLayout) -> None:
        """Builds or loads the engine of a layout, and uses it from now on."""
        name, key = self._name(layout), self._key(layout)
        engine = self._cache.fetch(name, key, lambda: self._built(layout))
        try:
            self._runner = self._backend.load(engine)
        except EngineError as error:
            _LOGGER.warning("%s; building it again", error)
            self._cache.discard(name)
            engine = self._cache.fetch(name, key, lambda: self._built(layout))
            self._runner = self._backend.load(engine)
        self._layout, self._padded = layout, None

    def path(self, layout: TapLayout) -> Path:
        """Where the engine of a layout is kept."""
        return self._cache.path(self._name(layout))

    def is_built(self, num_cameras: int) -> bool:
        """Whether the engine for so many cameras is stored and needs no building."""
        layout = self._source.layout_for(num_cameras)
        return self._cache.holds(self._name(layout), self._key(layout))

    def _ready_for(self, taps: TapTable) -> tuple[Runner, PaddedTaps]:
        if self._padded is not None and self._padded[0] is taps and self._runner is not None:
            return self._runner, self._padded[1]
        layout = self._layout
        if layout is None or layout.num_cameras != taps.num_cameras:
            layout = self._source.layout_for(taps.num_cameras)
        if not layout.has_room_for(taps):
            smaller, layout = layout, self._source.grown(layout, taps)
            _LOGGER.info("the rig needs a larger engine: %s instead of %s", layout, smaller)
        if layout != self._layout or self._runner is None:
            self.build(layout)
        assert self._runner is not None
        table = padded(taps, layout)
        self._padded = taps, table
        return self._runner, table

    def _built(self, layout: TapLayout) -> bytes:
        return self._backend.build(self._source.graph(layout, self._backend.graph_precision).onnx)

    def _name(self, layout: TapLayout) -> str:
        return "-".join(
            [
                self._source.model_digest[:16],
                f"{layout.num_cameras}x{layout.views}x{layout.sightings}",
                self._backend.name,
                self._backend.device.replace(":", ""),
                self._backend.precision,
            ]
        )

    def _key(self, layout: TapLayout) -> dict[str, str]:
        config = self.config
        return {
            "model": self._source.model_digest,
            "grid": f"{config.grid.shape} cells, {len(config.heights_m)} heights",
            "layout": str(layout.to_dict()),
            "precision": self._backend.precision,
            "graph": f"form {FORM}, {self._backend.graph_precision}",
            "library": self._backend.library,
            "device": self._backend.hardware,
        }
