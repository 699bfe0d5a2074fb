# SPDX-License-Identifier: Apache-2.0
"""Trained weights in a network for other images, another grid or another memory.

Segnet is convolutions and a lift whose table is worked out from rig and grid, so its tensors are
the same for every image size and grid. Trained quickly on small images and coarse cells, it is
trained on with large and fine ones (progressive resizing). It must be: how many pixels and cells
a car takes has changed.
"""

from __future__ import annotations

from dataclasses import fields, replace

from bev_perception.errors import ConfigurationError
from bev_perception.model.config import SegnetConfig
from bev_perception.model.segnet import Segnet, with_memory

CHANGEABLE = ("image_size", "grid", "memory")
"""Parts of a configuration that do not shape the tensors of a network, memory's own aside."""


def adapted(model: Segnet, config: SegnetConfig) -> Segnet:
    """The network itself if that is its configuration, else a copy with the same weights.

    A memory that it did not have is new and of no effect, see with_memory.

    Args:
        model: trained for another image size, grid or memory.
        config: the one wanted.

    Raises:
        ConfigurationError: more than these differs; names what, and both values.
    """
    differing = [
        entry.name
        for entry in fields(config)
        if getattr(model.config, entry.name) != getattr(config, entry.name)
    ]
    others = [name for name in differing if name not in CHANGEABLE]
    if others:
        different = "; ".join(
            f"{name} {getattr(model.config, name)} there, {getattr(config, name)} here"
            for name in others
        )
        raise ConfigurationError(
            f"the weights are of another network: {different}; only "
            f"{', '.join(CHANGEABLE)} may differ"
        )
    if differing and differing != ["memory"]:
        made = Segnet(replace(config, memory=model.config.memory))
        made.load_state_dict(model.state_dict())
        model = made
    return with_memory(model, config.memory)
