# SPDX-License-Identifier: Apache-2.0
"""The original's tensors, turned so that they give the same answers on our grid.

The original's BEV plane has rows forward, columns to the right and heights downwards; ours has
rows to the left, columns forward and heights upwards.

- The plane is transposed, so every kernel in it is. Before and behind the decoder the kernels are
  mirrored, too. Inside it they are not: strides would begin at the other edge of a mirrored
  plane, so the decoder gets the plane mirrored back (SegnetConfig.mirrored_decoder).
- The compressor's channels are sorted by feature and height there, by height and feature here.
  Those of a sensor become a convolution of their own.
- The original learned offsets as twice the cells from an object's centre to the cell. The last
  layer of their head is scaled to metres from the cell to the centre.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bev_perception.errors import WeightsError
from bev_perception.model.config import SegnetConfig
from bev_perception.model.segnet import Segnet
from bev_perception.model.simple_bev_names import COMPRESSOR, LOSS_WEIGHTS, original_name

SHOWN = 3
"""How many tensors an error names."""

_SENSOR = "sensor_convolution.weight"
_HEADS = ("feature_head.", "segmentation_head.", "center_head.", "offset_head.")
_OFFSET_LAYER = "offset_head.3."


def segnet_with_tensors(state: Mapping[str, Tensor], config: SegnetConfig) -> Segnet:
    """A network in evaluation mode that answers like the original with these tensors.

    Args:
        state: by the original's names; its loss's own weights are ignored.
        config: with the sensor and widths that the tensors have.

    Raises:
        WeightsError: tensors are missing, unknown, of other shapes or not finite.
    """
    model = Segnet(config)
    expected = model.state_dict()
    _check_names({original_name(name) for name in expected if name != _SENSOR}, state)
    lifted_channels = config.latent_dim * len(config.heights_m)
    compressor = _checked(COMPRESSOR, state[COMPRESSOR])
    special = {
        "compressor.0.weight": compressor[:, :lifted_channels],
        _SENSOR: compressor[:, lifted_channels:],
    }
    tensors = {}
    for name, target in expected.items():
        original = original_name(name)
        tensor = special[name] if name in special else _checked(original, state[original])
        if tensor.shape != target.shape:
            raise WeightsError(
                f"{original} has shape {tuple(tensor.shape)} instead of {tuple(target.shape)}"
            )
        tensors[name] = _turned(name, tensor, config).contiguous()
    model.load_state_dict(tensors)
    return model.eval()


def _turned(name: str, tensor: Tensor, config: SegnetConfig) -> Tensor:
    heights = len(config.heights_m)
    if name == "compressor.0.weight":
        return _mirrored(_by_height(tensor, heights))
    if name == _SENSOR:
        return _mirrored(_by_height(tensor, 1 if config.sensor == "radar" else heights))
    if name.startswith(_OFFSET_LAYER):
        return _to_metres(tensor, config.grid.resolution)
    if name.startswith(_HEADS):
        return _mirrored(tensor)
    if name.startswith("decoder."):
        return _transposed(tensor)
    return tensor


def _transposed(kernel: Tensor) -> Tensor:
    """Rows forward, columns right to rows right, columns forward; other tensors as they are."""
    return kernel.transpose(-1, -2) if kernel.ndim == 4 else kernel


def _mirrored(kernel: Tensor) -> Tensor:
    """Rows forward, columns right to rows left, columns forward; other tensors as they are."""
    return kernel.transpose(-1, -2).flip(-2) if kernel.ndim == 4 else kernel


def _by_height(kernel: Tensor, heights: int) -> Tensor:
    """Input channels (feature, height downwards) to (height upwards, feature)."""
    return kernel.unflatten(1, (-1, heights)).flip(2).transpose(1, 2).flatten(1, 2)


def _to_metres(last_layer: Tensor, resolution: float) -> Tensor:
    """Rows of the offset's last layer: twice the cells (right, forward) from the centre to
    the cell, to metres (x forward, y left) from the cell to the centre.
    """
    right, forward = last_layer
    return torch.stack([-forward, right]) * (resolution / 2.0)


def _check_names(expected: set[str], state: Mapping[str, Tensor]) -> None:
    missing = sorted(expected - set(state))
    unknown = sorted(set(state) - expected - set(LOSS_WEIGHTS))
    problems = [
        f"{len(names)} {kind}: {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
        for kind, names in (("missing", missing), ("unknown", unknown))
        if names
    ]
    if problems:
        raise WeightsError(f"its tensors are not those of Simple-BEV: {'; '.join(problems)}")


def _checked(name: str, tensor: Tensor) -> Tensor:
    """The tensor, floating ones as float32."""
    if not tensor.is_floating_point():
        return tensor
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"{name} holds values that are not finite")
    return tensor.float()
