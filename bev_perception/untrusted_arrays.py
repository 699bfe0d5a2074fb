# SPDX-License-Identifier: Apache-2.0
"""NumPy's arrays from files that anybody may have written: a header may say any shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_array(file: IO[bytes], size: int) -> NDArray[Any]:
    """The array of a stream in .npy's format.

    Args:
        file: to read from.
        size: bytes that there are.

    Raises:
        ValueError: it is none, asks for pickled objects, or for other bytes than are there.
    """
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


@contextmanager
def _as_value_error() -> Iterator[None]:
    """NumPy's header is Python's syntax, so its defects are of all of Python's kinds."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:  # tokenizer, parser, zlib and struct have no common base
        raise ValueError(f"{type(error).__name__} {error}") from error
