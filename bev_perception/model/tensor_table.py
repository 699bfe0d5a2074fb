# SPDX-License-Identifier: Apache-2.0
"""What tables of tensors have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

Table = TypeVar("Table", bound="TensorTable")


@dataclass(frozen=True)
class TensorTable:
    """A dataclass some of whose attributes are tensors, or tables of them."""

    @property
    def num_bytes(self) -> int:
        """Memory of all its tensors."""
        return sum(
            part.nbytes if isinstance(part, Tensor) else part.num_bytes
            for part in self._parts().values()
        )

    def to(self: Table, device: torch.device | str, non_blocking: bool = False) -> Table:
        """The table with all its tensors on another device."""
        moved = {
            name: part.to(device, non_blocking=non_blocking) for name, part in self._parts().items()
        }
        return replace(self, **moved)

    def _parts(self) -> dict[str, Tensor | TensorTable]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value
            for name, value in values.items()
            if isinstance(value, (Tensor, TensorTable))
        }
