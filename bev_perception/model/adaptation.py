# SPDX-License-Identifier: Apache-2.0
"""Trained weights in a network for other images, another grid or memory, or with more to learn.

Segnet is convolutions and a lift whose table is worked out from rig and grid, so its tensors are
the same for every image size and grid. Trained quickly on small images and coarse cells, it is
trained on with large and fine ones (progressive resizing). It must be: how many pixels and cells
a car takes has changed. A wider encoder begins with the answers of the narrow one (widening.py),
and finer features and cells with the coarse ones (refinement.py).
"""

from __future__ import annotations

from dataclasses import fields, replace

from bev_perception.errors import ConfigurationError
from bev_perception.model.config import SegnetConfig
from bev_perception.model.segnet import Segnet, with_memory
from bev_perception.model.widening import is_widening, widened

CHANGEABLE = ("image_size", "grid", "memory")
"""Parts of a configuration that do not shape the tensors of a network, memory's own aside."""


def adapted(model: Segnet, config: SegnetConfig) -> Segnet:
    """The network itself if that is its configuration, else a copy with the same weights.

    A memory that it did not have is new and of no effect, see with_memory; what a wider encoder
    has more is copied, see widened; details of finer features and cells are none yet.

    Args:
        model: trained for another image size, grid or memory, with a narrower encoder, with
            coarser features or without a decoder_stride.
        config: the one wanted.

    Raises:
        ConfigurationError: more than these differs; names what, and both values.
    """
    if is_widening(model.config, config):
        model = widened(model, config)
    if _is_refinement(model.config, config):
        model = _refined(model, config)
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
            f"{', '.join(CHANGEABLE)} may differ, a light or resnet18 encoder may become wider, "
            f"feature_stride 8 may become 4, and decoder_stride 1 may become 2"
        )
    if differing and differing != ["memory"]:
        made = Segnet(replace(config, memory=model.config.memory))
        made.load_state_dict(model.state_dict())
        model = made
    return with_memory(model, config.memory)


def _is_refinement(coarse: SegnetConfig, fine: SegnetConfig) -> bool:
    """Whether the second has details that the first has not, and none is lost."""
    before, after = (
        (1.0 / config.feature_stride, config.decoder_stride) for config in (coarse, fine)
    )
    return before != after and all(one <= other for one, other in zip(before, after))


def _refined(model: Segnet, config: SegnetConfig) -> Segnet:
    """A copy with such details, which tell nothing until it is trained."""
    made = Segnet(
        replace(
            model.config,
            grid=config.grid,
            feature_stride=config.feature_stride,
            decoder_stride=config.decoder_stride,
        )
    )
    made.load_state_dict({**made.state_dict(), **model.state_dict()})
    return made
