# SPDX-License-Identifier: Apache-2.0
"""Figures of a comparison's networks, in a file that outlives the networks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
"""A frozen dataclass of plain values: what one network of a comparison is."""

Figures = dict[str, float | None]
"""By name; None where there is nothing to tell."""


@dataclass
class KeptFigures(Generic[Key]):
    """What networks are worth, and the file that keeps it.

    Attributes:
        kind: of the keys.
        settings: plain values that all networks share.
        path: of the file.
        rows: figures by network.
    """

    kind: type[Key]
    settings: dict[str, Any]
    path: Path
    rows: dict[Key, Figures] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def gather(
        self,
        keys: Sequence[Key],
        found: Callable[[Key], Figures | None],
        make_all: Callable[[list[Key], Callable[[Key], None]], None] | None,
    ) -> list[Key]:
        """Makes what is missing and keeps the figures of each network as soon as it is there.

        Args:
            keys: networks that are asked for.
            found: figures of one that is there, else None.
            make_all: makes some, calling its second argument after each; None makes nothing.

        Returns:
            Those of which there are figures.

        Raises:
            SystemExit: the file is of other settings, or there are no figures at all.
        """
        self.read()
        in_file = len(self.rows.keys() & set(keys))

        def take(key: Key) -> None:
            figures = found(key)
            if figures is not None:
                self.keep(key, figures)

        for key in keys:
            take(key)
        missing = [key for key in keys if key not in self.rows]
        print(f"{len(keys)} networks, {in_file} of them in {self.path}, {len(missing)} missing")
        if make_all is not None and missing:
            make_all(missing, take)
        done = [key for key in keys if key in self.rows]
        if not done:
            raise SystemExit("no network is finished yet; leave --finished out")
        return done

    def keep(self, key: Key, figures: Figures) -> None:
        """Notes one network's, beside those that others have written meanwhile."""
        with self._lock:
            self.rows[key] = figures
            ours = dict(self.rows)
            self.read()
            self.rows |= ours
            self._write()

    def read(self) -> None:
        """Takes in those of the file, if it is there.

        Raises:
            SystemExit: they are of other settings.
        """
        if not self.path.exists():
            return
        kept = json.loads(self.path.read_text(encoding="utf-8"))
        if kept["settings"] != self.settings:
            raise SystemExit(
                f"{self.path} is of other settings: {kept['settings']}, now {self.settings}; "
                f"name another file"
            )
        for row in kept["networks"]:
            self.rows[self.kind(**row.pop("choice"))] = row

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n  ".join(
            json.dumps({"choice": vars(key), **_rounded(figures)})
            for key, figures in self.rows.items()
        )
        settings = json.dumps(self.settings)
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        partial.write_text(
            f'{{"settings": {settings}, "networks": [\n  {lines}\n]}}\n', encoding="utf-8"
        )
        os.replace(partial, self.path)


def _rounded(figures: Figures) -> Figures:
    return {name: value if value is None else round(value, 5) for name, value in figures.items()}
