# SPDX-License-Identifier: Apache-2.0
"""NumPy's files read without trust: a header may say any shape, and a zip hold any zeros."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bev_perception.untrusted_arrays import read_array

MAX_BYTES = 8 << 30
"""Of all arrays of a file together: an hour of six cameras at the size of the seed."""


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file.

    Raises:
        ValueError: it is none, asks for pickled objects, or for other bytes than are there.
    """
    with path.open("rb") as file:
        return read_array(file, path.stat().st_size)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file by name.

    Raises:
        ValueError, zipfile.BadZipFile, OSError: it is none, or an array of it is none.
    """
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        size = sum(info.file_size for info in members)
        if size > MAX_BYTES:
            raise ValueError(f"its arrays unpack to {size >> 20} MiB, more than {MAX_BYTES >> 20}")
        arrays = {}
        for info in members:
            with archive.open(info) as file:
                arrays[info.filename.removesuffix(".npy")] = read_array(file, info.file_size)
        return arrays
