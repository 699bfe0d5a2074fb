# SPDX-License-Identifier: Apache-2.0
"""ONNX files that say what they were exported from, and notice when they were changed."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from pathlib import Path
from typing import Any

from bev_perception.errors import ConfigurationError, EngineError
from bev_perception.inference.exported_graph import ExportedGraph
from bev_perception.model import LiftGeometry, SegnetConfig
from bev_perception.model.graph_layout import GraphLayout, checked_sizes
from bev_perception.model.graph_lifts import layout_type
from bev_perception.untrusted import parse_json

_PREFIX = "bev_perception."


def write_onnx(path: Path, graph: ExportedGraph) -> None:
    """Writes a graph with its origin, complete or not at all.

    Raises:
        EngineError: the package onnx is not installed.
    """
    onnx = _onnx()
    model = onnx.load_from_string(graph.onnx)
    entries = {
        "config": json.dumps(graph.config.to_dict()),
        "layout": json.dumps(graph.layout.to_dict()),
        "precision": graph.precision,
        "model": graph.model_digest,
        "sha256": _graph_digest(model),
    }
    onnx.helper.set_model_props(model, {_PREFIX + key: text for key, text in entries.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(model.SerializeToString())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_onnx(path: Path) -> ExportedGraph:
    """A graph that write_onnx wrote.

    Raises:
        EngineError: the file is missing, damaged, another one, or was changed; or the package
            onnx is not installed.
    """
    onnx = _onnx()
    if not path.is_file():
        raise EngineError(f"{path}: no such file; make it with bev export --out {path.name}")
    data = path.read_bytes()
    try:
        model = onnx.load_from_string(data)
    except Exception as error:  # protobuf's and onnx's own, which have no common base
        raise EngineError(
            f"{path}: not a complete ONNX file ({len(data)} bytes): {str(error)[:300]}; "
            f"export it again with bev export"
        ) from error
    entries = {
        entry.key.removeprefix(_PREFIX): entry.value
        for entry in model.metadata_props
        if isinstance(entry.key, str) and entry.key.startswith(_PREFIX)
    }
    try:
        config = SegnetConfig.from_dict(parse_json(entries["config"]))
        layout = layout_type(config)(**checked_sizes(parse_json(entries["layout"])))
        precision, digest, expected = (entries[key] for key in ("precision", "model", "sha256"))
    except (LookupError, TypeError, ValueError, AttributeError, ConfigurationError) as error:
        raise EngineError(
            f"{path}: the ONNX file does not say which model it is ({str(error)[:300]}); engines "
            f"run files that bev export wrote"
        ) from error
    if _graph_digest(model) != expected:
        raise EngineError(
            f"{path}: the graph was changed after its export, its checksum does not fit; export "
            f"it again with bev export"
        )
    return ExportedGraph(config, layout, precision, digest, data)


class FileSource:
    """The one graph of an exported file.

    Args:
        path: written by write_onnx.

    Raises:
        EngineError: see read_onnx.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._graph = read_onnx(path)
        self.config = self._graph.config
        self.model_digest = self._graph.model_digest
        self.precision = self._graph.precision
        self.raw_size = self._graph.layout.raw_size

    def layout_for(self, num_cameras: int) -> GraphLayout:
        """See GraphSource."""
        layout = self._graph.layout
        if num_cameras != layout.num_cameras:
            raise EngineError(
                f"{self._path} was exported for {layout.num_cameras} cameras, the rig has "
                f"{num_cameras}; export it with --cameras {num_cameras}, or use the weights file"
            )
        return layout

    def grown(self, layout: GraphLayout, taps: LiftGeometry) -> GraphLayout:
        """See GraphSource."""
        larger = layout.grown_for(taps)
        raise EngineError(
            f"{self._path} has room for {layout.room()}, this rig needs {larger.room()}; export it "
            f"for this rig with --rig, or use the weights file"
        )

    def graph(self, layout: GraphLayout, precision: str) -> ExportedGraph:
        """See GraphSource."""
        if precision != self._graph.precision:
            raise EngineError(
                f"{self._path} was exported in {self._graph.precision} and {precision} is asked "
                f"for; export it with --precision {precision}, or use the weights file"
            )
        return self._graph


def _graph_digest(model: Any) -> str:
    return hashlib.sha256(model.graph.SerializeToString(deterministic=True)).hexdigest()


def _onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise EngineError(
            f"ONNX files need the package onnx ({error}); pip install 'bev_perception[onnx]'"
        ) from error
