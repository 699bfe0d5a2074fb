# SPDX-License-Identifier: Apache-2.0
"""Which network is to run, and how: all that loading it depends on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bev_perception.inference import Engine, load_engine
from bev_perception.ros.parameters import NodeParameters


@dataclass(frozen=True)
class EngineOrder:
    """Plain data; equal orders give equal engines.

    Attributes:
        weights: file.
        modified_ns: when the file was changed last.
        num_threads: of PyTorch, 0 for its own choice.
        num_cameras: for which it is warmed up.

    The others are parameters of the node.
    """

    weights: str
    modified_ns: int
    device: str
    precision: str
    backend: str
    cpu_fallback: bool
    camera_batch: int
    torch_mode: str
    resize: str
    num_threads: int
    num_cameras: int

    @classmethod
    def of(cls, parameters: NodeParameters, weights: Path) -> EngineOrder:
        """What a node's parameters ask for.

        Args:
            parameters: of the node.
            weights: the file that they name, which exists.
        """
        return cls(
            str(weights),
            modified_ns(weights),
            parameters.device,
            parameters.precision,
            parameters.backend,
            parameters.cpu_fallback,
            parameters.camera_batch,
            parameters.torch_mode,
            parameters.resize,
            parameters.num_threads,
            len(parameters.cameras),
        )

    def renewed(self) -> EngineOrder:
        """The same for the weights file as it is now."""
        return replace(self, modified_ns=modified_ns(Path(self.weights)))

    def load(self) -> Engine:
        """An engine that is warmed up.

        Raises:
            WeightsError, EngineError: see load_engine.
        """
        if self.num_threads:
            torch.set_num_threads(self.num_threads)
        engine = load_engine(
            self.weights,
            self.device,
            self.precision,
            self.backend,
            self.cpu_fallback,
            camera_batch=self.camera_batch,
            torch_mode=self.torch_mode,
            resize=self.resize,
        )
        engine.warm_up(self.num_cameras)
        return engine


def modified_ns(weights: Path) -> int:
    """When a file was changed last, nanoseconds; 0 where it cannot be told."""
    try:
        return weights.stat().st_mtime_ns
    except OSError:
        return 0
