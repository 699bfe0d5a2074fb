# SPDX-License-Identifier: Apache-2.0
"""Segnet as a graph of common operators whose lift is gathers, for export to other libraries.

What the lift needs of a rig is tables, which are inputs, so another calibration needs no other
graph as long as it fits into the layout; see graph_layout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.errors import ConfigurationError
from bev_perception.model.graph_layout import GraphLayout
from bev_perception.model.graph_lifts import graph_lift, layout_type
from bev_perception.model.image_resize import ImageResize
from bev_perception.model.inference_form import InferenceSegnet
from bev_perception.model.norm import EPSILON, InstanceNorm
from bev_perception.model.segnet import Segnet

OUTPUT_NAME = "maps"


class GatherSegnet(nn.Module):
    """The graph to export.

    Args:
        model: left as it is.

    Raises:
        ConfigurationError: it has a memory.
    """

    def __init__(self, model: Segnet) -> None:
        super().__init__()
        if model.config.memory.is_on:
            raise ConfigurationError(
                f"this network has a memory of kind {model.config.memory.kind}, and exported "
                f"graphs answer every set for itself; run its weights file with backend cpu or cuda"
            )
        self.network = InferenceSegnet(model)
        self._lift = graph_lift(model.config)
        self._num_tables = len(layout_type(model.config).TABLES)
        _make_exportable(self.network)

    def forward(self, images: Tensor, *inputs: Tensor) -> Tensor:
        """Images (S, H, W, 3) uint8 to float32 maps (K + 3, Y, X); see decode.

        Args:
            images: of the cameras.
            inputs: the layout's tables, the sensor's map where the network takes one, and rows and
                columns of an ImageResize where images are raw.
        """
        network = self.network
        tables, others = inputs[: self._num_tables], list(inputs[self._num_tables :])
        measured = others.pop(0) if network.config.sensor_channels else None
        resize = ImageResize(others[0], others[1]) if others else None
        plane = network.compress(self._lift(network, network.encode(images, resize), tables))
        if measured is not None:
            plane = network.measure(plane, measured)
        return network.decode(plane).float()

    def example(self, layout: GraphLayout) -> tuple[Tensor, ...]:
        """Inputs of a layout's sizes, in the order of its names."""
        config, count = self.network.config, layout.num_cameras
        size = layout.raw_size or config.image_size
        inputs = [torch.zeros(count, *size, 3, dtype=torch.uint8)]
        inputs += [torch.from_numpy(table) for table in layout.example(config).values()]
        if config.sensor_channels:
            inputs.append(torch.zeros(1, config.sensor_channels, *config.grid.shape))
        if layout.raw_size is not None:
            inputs += [torch.zeros(count, *pair) for pair in zip(config.image_size, size)]
        return tuple(inputs)


class _InstanceNorm(nn.Module):
    """The operator that other libraries know; group norm would become several."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.instance_norm(x, eps=EPSILON)


def _make_exportable(network: nn.Module) -> None:
    for name, child in network.named_children():
        if isinstance(child, InstanceNorm):
            setattr(network, name, _InstanceNorm())
        else:
            _make_exportable(child)
