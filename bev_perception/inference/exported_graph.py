# SPDX-License-Identifier: Apache-2.0
"""Segnet as an ONNX graph, and where engines get it: from a model or from an exported file."""

from __future__ import annotations

import hashlib
import io
import json
import math
import warnings
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from bev_perception.errors import ConfigurationError, EngineError
from bev_perception.inference.choice import PRECISIONS
from bev_perception.inference.engine import any_table
from bev_perception.model import LiftGeometry, Segnet, SegnetConfig
from bev_perception.model.gather_form import OUTPUT_NAME, GatherSegnet
from bev_perception.model.graph_layout import GraphLayout
from bev_perception.model.graph_lifts import layout_type
from bev_perception.model.tap_layout import TapLayout

OPSET = 17
"""Of ONNX: the oldest in which every operator of the graph exists, so most readers know it."""

FORM = "1"
"""Changes when the same model gives another graph, so that older engines are built anew."""


@dataclass(frozen=True)
class ExportedGraph:
    """One graph.

    Attributes:
        config: of the network.
        layout: sizes of its inputs.
        precision: of its weights and arithmetic, a key of PRECISIONS.
        model_digest: SHA-256 of weights and configuration.
        onnx: the graph.
    """

    config: SegnetConfig
    layout: GraphLayout
    precision: str
    model_digest: str
    onnx: bytes


class GraphSource(Protocol):
    """Gives graphs of one network."""

    @property
    def config(self) -> SegnetConfig:
        """Of the network."""

    @property
    def model_digest(self) -> str:
        """SHA-256 of weights and configuration."""

    @property
    def raw_size(self) -> tuple[int, int] | None:
        """(height, width) of the images that its graphs resize; None where they come prepared."""

    def layout_for(self, num_cameras: int) -> GraphLayout:
        """Where to begin for so many cameras.

        Raises:
            EngineError: there is none for that number.
        """

    def grown(self, layout: GraphLayout, taps: LiftGeometry) -> GraphLayout:
        """A layout with room for a table that has too little in this one.

        Raises:
            EngineError: there is none.
        """

    def graph(self, layout: GraphLayout, precision: str) -> ExportedGraph:
        """The graph of a layout.

        Raises:
            EngineError: there is none of that precision.
        """


class ModelSource:
    """Exports graphs of a model as they are needed.

    Args:
        model: must not change later.
        raw_size: (height, width) of images that the graphs are to resize.

    Raises:
        EngineError: it has a memory, or takes no raw images.
    """

    def __init__(self, model: Segnet, raw_size: tuple[int, int] | None = None) -> None:
        _graph_of(model)
        if raw_size is not None and model.config.virtual_cameras:
            raise EngineError(
                "images for this network are turned to its virtual_cameras before, so its graph "
                "cannot take raw images; export it without --raw-images"
            )
        self._model = model
        self.raw_size = raw_size
        self.model_digest = model_digest(model)

    @property
    def config(self) -> SegnetConfig:
        """Of the network."""
        return self._model.config

    def layout_for(self, num_cameras: int) -> GraphLayout:
        """See GraphSource."""
        usual: GraphLayout
        kind = layout_type(self.config)
        if issubclass(kind, TapLayout):
            num_voxels = math.prod(self.config.grid.shape) * len(self.config.heights_m)
            usual = kind.usual(num_cameras, num_voxels)
        else:
            usual = kind(num_cameras).grown_for(any_table(self.config, num_cameras))
        return replace(usual, raw_size=self.raw_size)  # type: ignore[type-var]

    def grown(self, layout: GraphLayout, taps: LiftGeometry) -> GraphLayout:
        """See GraphSource."""
        return layout.grown_for(taps)

    def graph(self, layout: GraphLayout, precision: str) -> ExportedGraph:
        """See GraphSource."""
        graph = _graph_of(self._model)
        graph.network.cast("cpu", PRECISIONS[precision])
        buffer = io.BytesIO()
        with torch.no_grad(), warnings.catch_warnings():
            # Of torch's two exporters the one that needs no further packages. It traces, and
            # warns about sizes that become constants; they are meant to.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                graph.example(layout),
                buffer,  # type: ignore[arg-type]
                dynamo=False,
                opset_version=OPSET,
                input_names=list(layout.input_names(self.config)),
                output_names=[OUTPUT_NAME],
            )
        return ExportedGraph(self.config, layout, precision, self.model_digest, buffer.getvalue())


def model_digest(model: Segnet) -> str:
    """SHA-256 over the configuration and all tensors, hexadecimal."""
    digest = hashlib.sha256(json.dumps(model.config.to_dict(), sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _graph_of(model: Segnet) -> GatherSegnet:
    try:
        return GatherSegnet(model).eval()
    except ConfigurationError as error:
        raise EngineError(str(error)) from error
