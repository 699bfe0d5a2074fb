# SPDX-License-Identifier: Apache-2.0
"""Built engines on disk, so that only the first start waits for them.

A file is a line of JSON, which says what it was built from and with, and the engine behind it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from bev_perception.untrusted import parse_json

_LOGGER = logging.getLogger(__name__)

CACHE_VARIABLE = "BEV_PERCEPTION_CACHE"
_FORMAT = "bev_perception.engine/1"


def cache_folder() -> Path:
    """$BEV_PERCEPTION_CACHE, else bev_perception in the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "bev_perception" / "engines"


class EngineCache:
    """Engines in a folder.

    Args:
        folder: made when something is stored; default cache_folder().
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = cache_folder() if folder is None else folder

    def path(self, name: str) -> Path:
        """The file of an engine's name."""
        return self.folder / f"{name}.engine"

    def fetch(self, name: str, key: Mapping[str, str], build: Callable[[], bytes]) -> bytes:
        """The stored engine, or one built and stored now.

        A file that was built from or with something else, is damaged or cannot be read is built
        anew, and the log says why. So is one that cannot be stored.

        Args:
            name: what is wanted: model, sizes, backend, precision.
            key: all that the engine depends on, versions and the device included.
            build: makes the engine.
        """
        path = self.path(name)
        stored, reason = self._read(path, key)
        if stored is not None:
            return stored
        _LOGGER.info("building %s: %s", path, reason)
        engine = build()
        self._write(path, key, engine)
        return engine

    def holds(self, name: str, key: Mapping[str, str]) -> bool:
        """Whether the engine is stored and would be used."""
        return self._read(self.path(name), key)[0] is not None

    def discard(self, name: str) -> None:
        """Removes an engine that turned out to be unusable."""
        self.path(name).unlink(missing_ok=True)

    def _read(self, path: Path, key: Mapping[str, str]) -> tuple[bytes | None, str]:
        try:
            line, _, engine = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None, "there is none yet"
        except OSError as error:
            return None, f"it cannot be read ({error.strerror})"
        try:
            header = parse_json(line)
            found, digest = dict(header["key"]), header["sha256"]
            known = header["format"] == _FORMAT
        except (ValueError, TypeError, KeyError):
            return None, "the file is no engine"
        if not known:
            return None, f"the file is of another format, {header['format']!r}"
        for part in sorted(set(key) | set(found)):
            if key.get(part) != found.get(part):
                return None, (
                    f"the stored one is of another {part}: {found.get(part)!r}, here it is "
                    f"{key.get(part)!r}"
                )
        if hashlib.sha256(engine).hexdigest() != digest:
            return None, "the stored one is damaged, its checksum does not fit"
        return engine, ""

    def _write(self, path: Path, key: Mapping[str, str], engine: bytes) -> None:
        digest = hashlib.sha256(engine).hexdigest()
        header = {"format": _FORMAT, "key": dict(key), "sha256": digest}
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(json.dumps(header).encode() + b"\n" + engine)
            os.replace(partial, path)
        except OSError as error:
            _LOGGER.warning(
                "the engine cannot be stored, the next start builds it again: %s: %s; "
                "set %s to a folder that can be written",
                path,
                error.strerror,
                CACHE_VARIABLE,
            )
            with suppress(OSError):
                partial.unlink()
