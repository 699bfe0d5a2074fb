# SPDX-License-Identifier: Apache-2.0
"""An engine around any library that runs ONNX graphs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.errors import EngineError
from bev_perception.inference.engine import (
    EngineMemoryError,
    RawOutput,
    any_table,
    check_inputs,
    checked_map,
    is_memory_error,
    raw_output,
)
from bev_perception.inference.engine_cache import EngineCache
from bev_perception.inference.exported_graph import FORM, GraphSource
from bev_perception.model import ImageResize, LiftGeometry, SegnetConfig
from bev_perception.model.feature_memory import MemoryStep
from bev_perception.model.graph_layout import (
    IMAGES_NAME,
    RESIZE_NAMES,
    SENSOR_NAME,
    GraphLayout,
)
from bev_perception.model.image_resize import resized

_LOGGER = logging.getLogger(__name__)

WARM_UP_RUNS = 3


class Runner(Protocol):
    """A built engine of one layout, ready to run."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Inputs by the layout's names to maps (K + 3, Y, X), valid until the next run.

        Only "images" may change while it is the same array.
        """


class GraphBackend(Protocol):
    """A library that runs graphs, on one device in one precision.

    Attributes:
        name: a key of BACKENDS.
        device: "cpu" or "cuda[:N]".
        precision: a key of PRECISIONS.
        graph_precision: of the graph it wants; the library may compute in another one itself.
        library: name and version.
        hardware: what else built engines depend on.
        keeps_float32: whether it computes in float32 what the graph says is float32.
    """

    name: str
    device: str
    precision: str
    graph_precision: str
    library: str
    hardware: str
    keeps_float32: bool

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

    Raises:
        EngineError: the backend would round the places at which the network looks.
    """

    def __init__(
        self, source: GraphSource, backend: GraphBackend, cache: EngineCache | None = None
    ) -> None:
        if source.config.lift == "attention" and not backend.keeps_float32:
            raise EngineError(
                f"backend {backend.name} in {backend.precision} rounds the places at which the "
                f"lift attention looks; take precision fp32, or backend cpu or cuda"
            )
        self._source = source
        self._backend = backend
        self._cache = EngineCache() if cache is None else cache
        self._layout: GraphLayout | None = None
        self._runner: Runner | None = None
        self._spare: tuple[GraphLayout, Runner] | None = None
        self._padded: tuple[LiftGeometry, dict[str, NDArray[Any]]] | None = None
        self._matrices: tuple[ImageResize, dict[str, NDArray[np.float32]]] | None = None

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

    @property
    def takes_raw_images(self) -> bool:
        """Whether images go in as cameras send them."""
        return self._source.raw_size is not None

    def infer(
        self,
        images: NDArray[np.uint8],
        taps: LiftGeometry,
        resize: ImageResize | None = None,
        memory: MemoryStep | None = None,
        sensor_map: Tensor | None = None,
    ) -> RawOutput:
        """See RememberingEngine.infer; graphs have no memory, so there is none to go on with.

        Raises:
            EngineMemoryError: the device has too little memory.
        """
        check_inputs(self.config, images, taps, resize)
        measured = checked_map(self.config, sensor_map)
        images, matrices = self._as_the_graph_takes_them(images, resize)
        try:
            runner, table = self._ready_for(taps)
            inputs = {**table, **matrices}
            if measured is not None:
                inputs[SENSOR_NAME] = measured.numpy()
            maps = runner.run({IMAGES_NAME: np.ascontiguousarray(images), **inputs})
            return raw_output(torch.from_numpy(maps))
        except (RuntimeError, MemoryError) as error:
            if not is_memory_error(error):
                raise
            raise EngineMemoryError(
                f"{self.device} has too little memory for the network with backend {self.backend}: "
                f"{error}; use a smaller model, precision fp16, device cpu, or let the engine fall "
                f"back to the CPU"
            ) from error

    def _as_the_graph_takes_them(
        self, images: NDArray[np.uint8], resize: ImageResize | None
    ) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.float32]]]:
        """Images, and the inputs by which the graph resizes them."""
        if resize is not None and not self.takes_raw_images:
            # The engine before this one took them raw.
            planes = resized(torch.from_numpy(images), resize)
            return planes.permute(0, 2, 3, 1).to(torch.uint8).numpy(), {}
        if resize is None:
            if self.takes_raw_images:
                raise EngineError(
                    f"this engine takes raw images of {self._source.raw_size} and the matrices "
                    f"that resize them, see perception.Preparation.resize"
                )
            return images, {}
        if resize.source_size != self._source.raw_size:
            raise EngineError(
                f"the engine resizes images of {self._source.raw_size}, the rig's cameras send "
                f"{resize.source_size}; export it for this rig with --raw-images --rig"
            )
        if self._matrices is None or self._matrices[0] is not resize:
            arrays = (resize.rows.numpy(), resize.columns.numpy())
            self._matrices = resize, dict(zip(RESIZE_NAMES, arrays))
        return images, self._matrices[1]

    def warm_up(self, num_cameras: int) -> None:
        """Builds or loads the engine for so many cameras and runs it.

        Args:
            num_cameras: of the rig to come.
        """
        source, target = self._source.raw_size, self.config.image_size
        images = np.zeros((num_cameras, *(source or target), 3), dtype=np.uint8)
        taps, resize = any_table(self.config, num_cameras), None
        if source is not None:
            rows, columns = (torch.zeros(num_cameras, *pair) for pair in zip(target, source))
            resize = ImageResize(rows, columns)
        for _ in range(WARM_UP_RUNS):
            self.infer(images, taps, resize)
        self._padded = None

    def build(self, layout: GraphLayout) -> None:
        """Builds or loads the engine of a layout, and uses it from now on."""
        self._use(layout, self._loaded(layout))

    def make_room(self, taps: LiftGeometry) -> None:
        """See engine_room.make_room; infer goes on with the engine it has until such taps come."""
        try:
            layout = self._layout_of(taps)
            if layout != self._layout:
                self._spare = layout, self._loaded(layout)
        except (EngineError, RuntimeError, MemoryError) as error:
            _LOGGER.info("no engine was made for the rig to come: %s", error)

    def path(self, layout: GraphLayout) -> Path:
        """Where the engine of a layout is kept."""
        return self._cache.path(self._name(layout))

    def is_built(self, num_cameras: int) -> bool:
        """Whether the engine for so many cameras is stored and needs no building."""
        layout = self._source.layout_for(num_cameras)
        return self._cache.holds(self._name(layout), self._key(layout))

    def _ready_for(self, taps: LiftGeometry) -> tuple[Runner, dict[str, NDArray[Any]]]:
        if self._padded is not None and self._padded[0] is taps and self._runner is not None:
            return self._runner, self._padded[1]
        layout, runner = self._layout_of(taps), self._runner
        if layout != self._layout or runner is None:
            spare, self._spare = self._spare, None
            runner = spare[1] if spare and spare[0] == layout else self._loaded(layout)
            self._use(layout, runner)
        table = layout.tables(taps)
        self._padded = taps, table
        return runner, table

    def _layout_of(self, taps: LiftGeometry) -> GraphLayout:
        """That in use if it has room for the table; else another one."""
        layout = self._layout
        if layout is None or layout.num_cameras != taps.num_cameras:
            layout = self._source.layout_for(taps.num_cameras)
        return layout if layout.has_room_for(taps) else self._source.grown(layout, taps)

    def _use(self, layout: GraphLayout, runner: Runner) -> None:
        if self._layout is not None:
            _LOGGER.info("the rig needs another engine: %s instead of %s", layout, self._layout)
        self._layout, self._runner, self._padded = layout, runner, None

    def _loaded(self, layout: GraphLayout) -> Runner:
        """The engine of a layout, stored or built."""
        name, key = self._name(layout), self._key(layout)
        engine = self._cache.fetch(name, key, lambda: self._built(layout))
        try:
            return self._backend.load(engine)
        except EngineError as error:
            _LOGGER.warning("%s; building it again", error)
            self._cache.discard(name)
            engine = self._cache.fetch(name, key, lambda: self._built(layout))
            return self._backend.load(engine)

    def _built(self, layout: GraphLayout) -> bytes:
        return self._backend.build(self._source.graph(layout, self._backend.graph_precision).onnx)

    def _name(self, layout: GraphLayout) -> str:
        raw = "" if layout.raw_size is None else "x{}x{}".format(*layout.raw_size)
        return "-".join(
            [
                self._source.model_digest[:16] + raw,
                "x".join(map(str, layout.sizes())),
                self._backend.name,
                self._backend.device.replace(":", ""),
                self._backend.precision,
            ]
        )

    def _key(self, layout: GraphLayout) -> dict[str, str]:
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
