# SPDX-License-Identifier: Apache-2.0
"""The fusion of what is seen with what is remembered that a configuration asks for.

All begin as a memory that changes nothing: their last convolution is zero at first.
"""

from __future__ import annotations

from bev_perception.model.config import SegnetConfig
from bev_perception.model.gru_fusion import GruFusion
from bev_perception.model.queue_fusion import QueueFusion


def make_memory(config: SegnetConfig) -> QueueFusion | GruFusion | None:
    """The fusion that a configuration asks for; None for a network without memory."""
    if not config.memory.is_on:
        return None
    return QueueFusion(config) if config.memory.kind == "queue" else GruFusion(config)
