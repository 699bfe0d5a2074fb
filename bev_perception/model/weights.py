# SPDX-License-Identifier: Apache-2.0
"""Weights in safetensors, with the configuration that they fit. Never pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bev_perception.errors import ConfigurationError, WeightsError
from bev_perception.model.config import SegnetConfig
from bev_perception.model.segnet import VELOCITY_UNIT_M_PER_S, Segnet
from bev_perception.resources import WEIGHTS_FOLDER, shipped_weight_names
from bev_perception.untrusted import parse_json

FORMAT = "bev_perception.segnet/1"
_VELOCITY_UNIT = "velocity_unit_m_per_s"
"""Key of what a velocity head says 1 for; heads of files without it say metres per second."""

SHOWN = 3
"""How many tensors an error names."""


def shipped_weights(name: str = "tiny") -> Path:
    """Path of weights inside the package.

    Raises:
        WeightsError: there are none of that name; names those that there are.
    """
    path = WEIGHTS_FOLDER / f"{name}.safetensors"
    if not path.is_file():
        known = ", ".join(shipped_weight_names()) or "none"
        raise WeightsError(f"no shipped weights named {name!r}; this installation has: {known}")
    return path


def resolve_weights(name: str) -> Path:
    """A file if the text looks like one, else shipped weights of that name.

    Raises:
        WeightsError: no shipped weights have that name.
    """
    path = Path(name)
    if path.suffix or path.exists() or len(path.parts) != 1:
        return path
    return shipped_weights(name)


def save_weights(
    path: str | os.PathLike[str],
    model: Segnet,
    metadata: Mapping[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Writes a model's tensors, its configuration and metadata, complete or not at all.

    Args:
        path: ends in .safetensors by convention; its folder is made.
        model: on any device.
        metadata: JSON values of free choice: recipe, command, metrics.
        half: store numbers as float16, in half the space; load_weights makes float32 of them.

    Raises:
        WeightsError: a number is too large for float16.
    """
    path = Path(path)
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    tensors = _halved(path, tensors) if half else tensors
    header = {
        "format": FORMAT,
        "config": json.dumps(model.config.to_dict()),
        "metadata": json.dumps(dict(metadata or {})),
        "sha256": _digest(tensors),
    }
    if model.velocity_head is not None:
        header[_VELOCITY_UNIT] = repr(VELOCITY_UNIT_M_PER_S)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        # save_file would leave a file that only its owner can read.
        partial.write_bytes(save(tensors, metadata=header))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _halved(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    halved = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    beyond = [name for name, tensor in halved.items() if not torch.isfinite(tensor).all()]
    if beyond:
        raise WeightsError(
            f"weights {path}: {', '.join(beyond[:SHOWN])} has values beyond float16's "
            f"{torch.finfo(torch.float16).max:g}; write float32"
        )
    return halved


def load_weights(path: str | os.PathLike[str]) -> tuple[Segnet, dict[str, Any]]:
    """A model in evaluation mode on the CPU, and its metadata.

    Raises:
        WeightsError: the file is missing, truncated, corrupt, not one of ours, or its tensors
            do not fit its configuration.
    """
    path = Path(path)
    header, tensors = _read(path)
    if header.get("format") != FORMAT or "config" not in header:
        raise WeightsError(
            f"weights {path}: a safetensors file without {FORMAT} metadata (format "
            f"{header.get('format')!r}); expected a file that bev train or save_weights wrote"
        )
    try:
        config = SegnetConfig.from_dict(parse_json(header["config"]))
        metadata = dict(parse_json(header.get("metadata", "{}")))
    except (ValueError, TypeError, AttributeError, ConfigurationError) as error:
        raise WeightsError(f"weights {path}: unreadable metadata: {str(error)[:300]}") from error
    _check_fit(path, _shapes(path, config), tensors)
    if header.get("sha256") != _digest(tensors):
        raise WeightsError(
            f"weights {path}: the tensors do not match their checksum, the file is "
            f"corrupt; copy or download it again"
        )
    model = Segnet(config)
    model.load_state_dict(tensors)
    if model.velocity_head is not None and _VELOCITY_UNIT not in header:
        with torch.no_grad():
            for parameter in model.velocity_head[-1].parameters():
                parameter.div_(VELOCITY_UNIT_M_PER_S)
    return model.eval(), metadata


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise WeightsError(
            f"weights {path}: no such file; give a .safetensors file made by bev train"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            names = file.keys()
            return header, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"weights {path}: not a complete safetensors file ({path.stat().st_size} bytes): "
            f"{str(error)[:300]}; it is truncated, corrupt or of another format (pickled .pt and "
            f".pth files are not read)"
        ) from error


def _shapes(path: Path, config: SegnetConfig) -> Mapping[str, Tensor]:
    """Tensors without memory: a damaged configuration may ask for more than any machine has."""
    try:
        with torch.device("meta"):
            return Segnet(config).state_dict()
    except (RuntimeError, OverflowError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"weights {path}: its configuration makes no model: {reason}") from error


def _check_fit(path: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    missing = [f"{name} {tuple(expected[name].shape)}" for name in expected if name not in found]
    extra = [f"{name} {tuple(found[name].shape)}" for name in found if name not in expected]
    different = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    problems = [
        f"{len(names)} {kind}: {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
        for kind, names in (("missing", missing), ("unknown", extra), ("of wrong shape", different))
        if names
    ]
    if problems:
        raise WeightsError(
            f"weights {path}: tensors do not fit the configuration beside them: "
            + "; ".join(problems)
        )


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
