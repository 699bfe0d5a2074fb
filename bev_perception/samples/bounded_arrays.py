# SPDX-License-Identifier: Apache-2.0
"""NumPy's files read without trust: a header may say any shape, and a zip hold any zeros."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

MAX_BYTES = 8 << 30
"""Of all arrays of a file together: an hour of six cameras at the size of the seed."""

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file.

    Raises:
        ValueError: it is none, asks for pickled objects, or for other bytes than are there.
    """
    with path.open("rb") as file:
        return _read(file, path.stat().st_size)


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
                arrays[info.filename.removesuffix(".npy")] = _read(file, info.file_size)
        return arrays


@contextmanager
def _as_value_error() -> Iterator[None]:
    """NumPy's header is Python's syntax, so its defects are of all of Python's kinds."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:  # tokenizer, parser, zlib and struct have no common base
        raise ValueError(f"{type(error).__name__} {error}") from error


def _read(file: IO[bytes], size: int) -> NDArray[Any]:
    """The array of a stream of so many bytes."""
    with _as_value_error():
        version = npy.read_magic(file)
        reader = _READERS.get(version)
        if reader is None:
            raise ValueError(f"version {version} of NumPy's format is not read")
        shape, is_fortran, dtype = reader(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which only running their code could read")
        if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize > size:
            raise ValueError(f"shape {shape} of {dtype} needs more than the {size} bytes there")
        data = file.read(math.prod(shape) * dtype.itemsize)
        array = np.frombuffer(data, dtype, math.prod(shape))
        return array.reshape(shape, order="F" if is_fortran else "C").copy()
