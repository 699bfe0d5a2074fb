# SPDX-License-Identifier: Apache-2.0
"""Weights, exported graphs, stored engines and checkpoints."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import torch

from bev_perception.geometry import BevGrid
from bev_perception.inference.engine_cache import EngineCache
from bev_perception.inference.onnx_file import read_onnx
from bev_perception.model import Segnet, SegnetConfig, load_weights, save_weights
from bev_perception.model.simple_bev_file import read_simple_bev_file
from fuzzing.mutations import mutated_bytes, mutated_values

CONFIG = SegnetConfig(
    encoder="light",
    image_size=(64, 96),
    heights_m=(0.0, 1.0),
    grid=BevGrid.centered(16.0, 1.0),
    latent_dim=8,
    decoder_widths=(8, 8, 8),
    light_widths=(8, 8, 8),
    feature_head=False,
)
_KEY = {"model": "x", "device": "cpu"}


def _prepare_weights(folder: Path) -> None:
    torch.manual_seed(0)
    save_weights(folder / "net.safetensors", Segnet(CONFIG), {"recipe": "none"})


def _spoil_weights(folder: Path, rng: random.Random) -> None:
    path = folder / "net.safetensors"
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    choice = rng.random()
    if choice < 0.3:
        path.write_bytes(mutated_bytes(data, rng))
        return
    if choice < 0.4:
        path.write_bytes(struct.pack("<Q", rng.choice((0, 2**31, 2**63, 2**40, length + 1)))
                         + data[8:])  # fmt: skip
        return
    if choice < 0.8:
        metadata = header["__metadata__"]
        key = rng.choice(("config", "config", "metadata"))
        metadata[key] = json.dumps(mutated_values(json.loads(metadata[key]), rng))
        if rng.random() < 0.1:
            metadata[key] = "[" * 100_000
    else:
        header = mutated_values(header, rng)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def _read_weights(folder: Path, out: Path) -> None:
    load_weights(folder / "net.safetensors")


def _prepare_onnx(folder: Path) -> None:
    """A small graph with the metadata of an export; its digest is not to be looked at before."""
    import onnx
    from onnx import TensorProto, helper

    from bev_perception.inference import onnx_file
    from bev_perception.inference.loading import graph_engine  # noqa: F401  (the room is there)

    names = ("x", "y")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in names)
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g",
                                                [x], [y]))  # fmt: skip
    layout = {"num_cameras": 2, "views": 2, "sightings": 100}
    entries = {
        "config": json.dumps(CONFIG.to_dict()),
        "layout": json.dumps(layout),
        "precision": "fp32",
        "model": "0" * 64,
        "sha256": onnx_file._graph_digest(model),
    }
    helper.set_model_props(model, {f"bev_perception.{k}": v for k, v in entries.items()})
    onnx.save(model, folder / "net.onnx")


def _spoil_onnx(folder: Path, rng: random.Random) -> None:
    import onnx

    path = folder / "net.onnx"
    if rng.random() < 0.4:
        path.write_bytes(mutated_bytes(path.read_bytes(), rng))
        return
    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key.endswith(("config", "layout")) and rng.random() < 0.7:
            entry.value = json.dumps(mutated_values(json.loads(entry.value), rng))
        elif rng.random() < 0.05:
            entry.value = "[" * 100_000
    onnx.save(model, path)


def _read_onnx(folder: Path, out: Path) -> None:
    read_onnx(folder / "net.onnx")


def _prepare_engine(folder: Path) -> None:
    EngineCache(folder).fetch("net", _KEY, lambda: b"engine" * 100)


def _spoil_engine(folder: Path, rng: random.Random) -> None:
    path = folder / "net.engine"
    line, _, engine = path.read_bytes().partition(b"\n")
    if rng.random() < 0.5:
        path.write_bytes(mutated_bytes(line + b"\n" + engine, rng))
    else:
        text = json.dumps(mutated_values(json.loads(line), rng))
        text = "[" * 100_000 if rng.random() < 0.1 else text
        path.write_bytes(text.encode() + b"\n" + engine)


def _read_engine(folder: Path, out: Path) -> None:
    EngineCache(folder).holds("net", _KEY)


def _prepare_checkpoint(folder: Path) -> None:
    state = {"encoder.weight": torch.zeros(3, 2), "decoder.bias": torch.ones(4)}
    torch.save({"model_state_dict": state}, folder / "model-000.pth")


def _spoil_checkpoint(folder: Path, rng: random.Random) -> None:
    path = folder / "model-000.pth"
    path.write_bytes(mutated_bytes(path.read_bytes(), rng))


def _read_checkpoint(folder: Path, out: Path) -> None:
    read_simple_bev_file(folder / "model-000.pth")


TARGETS: dict[str, tuple[Any, ...]] = {
    "weights": (_prepare_weights, _spoil_weights, _read_weights),
    "onnx": (_prepare_onnx, _spoil_onnx, _read_onnx),
    "engine_cache": (_prepare_engine, _spoil_engine, _read_engine),
    "checkpoint": (_prepare_checkpoint, _spoil_checkpoint, _read_checkpoint),
}
