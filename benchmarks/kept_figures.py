# SPDX-License-Identifier: Apache-2.0
"""Figures of a comparison's networks, in a file that outlives the networks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

Choice = TypeVar("Choice")
"""A frozen dataclass of plain values: what one network of a comparison is."""


@dataclass
class KeptFigures(Generic[Choice]):
    """What networks are worth.

    Attributes:
        kind: of the choices.
        settings: plain values that all networks share.
        rows: by choice, figures by name; None where there is nothing to tell.
    """

    kind: type[Choice]
    settings: dict[str, Any]
    rows: dict[Choice, dict[str, float | None]] = field(default_factory=dict)

    def read(self, path: Path) -> None:
        """Takes in those of a file, if it is there.

        Raises:
            SystemExit: they are of other settings.
        """
        if not path.exists():
            return
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["settings"] != self.settings:
            raise SystemExit(
                f"{path} is of other settings: {kept['settings']}, now {self.settings}; "
                f"name another file"
            )
        for row in kept["networks"]:
            self.rows[self.kind(**row.pop("choice"))] = row

    def write(self, path: Path) -> None:
        """Keeps them, one line each."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n  ".join(
            json.dumps({"choice": vars(choice), **_rounded(figures)})
            for choice, figures in self.rows.items()
        )
        settings = json.dumps(self.settings)
        path.write_text(
            f'{{"settings": {settings}, "networks": [\n  {lines}\n]}}\n', encoding="utf-8"
        )


def _rounded(figures: dict[str, float | None]) -> dict[str, float | None]:
    return {name: value if value is None else round(value, 5) for name, value in figures.items()}
