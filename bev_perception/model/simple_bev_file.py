# SPDX-License-Identifier: Apache-2.0
"""Reads the file of an original Simple-BEV checkpoint, without running anything that is in it."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bev_perception.errors import WeightsError

STATE_KEY = "model_state_dict"
"""Under which the original's training stores the network beside its optimizer."""

_PARALLEL = "module."
_GZIP = b"\x1f\x8b"
_FOREIGN_NAME = re.compile(r"(?i)unsupported (?:global:? )?GLOBAL:? ([\w.]+)")


def read_simple_bev_file(path: Path) -> dict[str, Tensor]:
    """The network's tensors by their original names, on the CPU.

    Takes what the original's training saves and a bare state dict alike; the prefix that data
    parallel training adds is removed.

    Raises:
        WeightsError: there is no such file, it is corrupt or of another format, asks to run
            code, or holds no tensors by name.
    """
    _check_kind(path)
    content = _loaded(path)
    state = content.get(STATE_KEY, content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping) or not state:
        raise WeightsError(
            f"checkpoint {path}: holds {_described(state)} instead of a network's tensors by name; "
            f"expected a file that Simple-BEV's training saved (model-*.pth)"
        )
    foreign = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if foreign:
        raise WeightsError(
            f"checkpoint {path}: {foreign[0]!r} is {_described(state[foreign[0]])} and no tensor; "
            f"expected a file that Simple-BEV's training saved (model-*.pth), with {STATE_KEY!r}"
        )
    return {str(name).removeprefix(_PARALLEL): value for name, value in state.items()}


def _check_kind(path: Path) -> None:
    if path.is_dir():
        inside = sorted(entry.name for entry in path.glob("*.pth"))
        found = f"it holds {', '.join(inside[:3])}" if inside else "it holds no .pth file"
        raise WeightsError(f"checkpoint {path}: a folder, and one file is needed; {found}")
    if not path.is_file():
        raise WeightsError(f"checkpoint {path}: no such file; give a .pth file of Simple-BEV")
    with path.open("rb") as file:
        start = file.read(len(_GZIP))
    if start == _GZIP:
        raise WeightsError(
            f"checkpoint {path}: a packed archive; unpack it (tar -xf) and give the .pth file in it"
        )


def _loaded(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make an unpickler raise anything
        refused = _FOREIGN_NAME.search(str(error))
        if isinstance(error, pickle.UnpicklingError) and refused:
            raise WeightsError(
                f"checkpoint {path}: opening it would call {refused[1]}, and files that do more "
                f"than hold tensors are not opened; where you trust it, save its "
                f"{STATE_KEY!r} alone with torch.save"
            ) from error
        raise WeightsError(
            f"checkpoint {path}: not a complete file of torch.save ({path.stat().st_size} bytes); "
            f"it is truncated, corrupt or of another format, so copy or download it again"
        ) from error


def _described(value: object) -> str:
    return "an empty dict" if value == {} else f"a {type(value).__name__}"
