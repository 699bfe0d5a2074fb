# SPDX-License-Identifier: Apache-2.0
"""torch.compile for a network, where this machine can compile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

from bev_perception.model.inference_form import InferenceSegnet

_LOGGER = logging.getLogger(__name__)

COMPILED = ("encode", "compress", "decode")
"""The lift between them stays as it is: tables vary in length, and compiling takes long."""


def compile_network(network: InferenceSegnet, device: torch.device) -> None:
    """Compiles a network's parts at their first run; where that fails they stay as they are.

    Args:
        network: cast already; changed in place.
        device: where it is, for the log.
    """
    for name in COMPILED:
        plain = getattr(network, name)
        setattr(network, name, _Compiled(plain, f"{name} on {device}"))


class _Compiled:
    """A compiled function, or the plain one once compiling has failed."""

    def __init__(self, plain: Callable[..., Any], name: str) -> None:
        self._plain = plain
        self._name = name
        self._function = torch.compile(plain, dynamic=False)
        self._works = False

    def __call__(self, *arguments: Any) -> Any:
        if self._works:
            return self._function(*arguments)
        try:
            result = self._function(*arguments)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ImportError, OSError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            _LOGGER.warning("%s is not compiled and runs as it is: %s", self._name, reason)
            self._function = self._plain
            result = self._plain(*arguments)
        self._works = True
        return result
