# SPDX-License-Identifier: Apache-2.0
"""Segnet as engines run it: the same function in fewer and cheaper steps.

What is constant is folded into the convolution beside it: batch norms, and the deviation by
which images are divided. The three heads become one. Outputs differ from Segnet's by rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bev_perception.model.feature_memory import MemoryStep
from bev_perception.model.image_resize import ImageResize, resized
from bev_perception.model.lift import gather
from bev_perception.model.lift_geometry import LiftGeometry
from bev_perception.model.lifts import lifted
from bev_perception.model.norm import InstanceNorm
from bev_perception.model.resnet import BasicBlock, Bottleneck
from bev_perception.model.segnet import IMAGENET_MEAN, IMAGENET_STD, VELOCITY_UNIT_M_PER_S, Segnet
from bev_perception.model.sensor_map import check_point_sensor
from bev_perception.model.taps import GatherTable

STRIP_BYTES = 1 << 27
"""Voxels that are lifted at a time on a CPU."""

MIN_STRIP_LINES = 16
"""Thinner strips would mostly compute what their neighbours compute."""


class InferenceSegnet(nn.Module):
    """A copy of a Segnet for inference, one rig at a time.

    Args:
        model: left as it is.

    Attributes:
        in_strips: whether large grids are lifted strip by strip; as is best on a CPU, and where
            memory is short.
        gather: applies a table to rows of features; another function that does the same may be
            put here.

    Raises:
        ConfigurationError: it takes a sensor beside images that no point cloud can feed.
    """

    def __init__(self, model: Segnet) -> None:
        super().__init__()
        if model.config.sensor != "none":
            check_point_sensor(model.config)
        network = copy.deepcopy(model).eval().requires_grad_(False)
        fold_batch_norms(network)
        self.config = network.config
        self.dtype = torch.float32
        self.in_strips = True
        self.gather: Callable[[Tensor, GatherTable], Tensor] = gather
        self.encoder = network.encoder
        self.encoder.backbone.conv1 = fold_deviation(network.encoder.backbone.conv1)
        self.lifting = network.lifting
        self.sensor_convolution = network.sensor_convolution
        layers = list(network.compressor)
        first = len(layers) if self.sensor_convolution is None else 1
        self.compressor = nn.Sequential(*layers[:first])
        self.behind_sensor = nn.Sequential(*layers[first:])
        self.decoder = network.decoder
        self.memory = network.memory
        heads = [network.segmentation_head, network.center_head, network.offset_head]
        if network.velocity_head is not None:
            heads.append(_in_metres_per_second(network.velocity_head))
        self.heads = merged_heads(heads)
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN) * 255.0)

    def cast(self, device: torch.device | str, dtype: torch.dtype) -> None:
        """Moves and converts it in place, into channels-last memory; images are centred in fp32."""
        mean = self.mean
        self.to(device=device, dtype=dtype)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = mean.to(device)
        self.dtype = dtype
        self.in_strips = self.mean.device.type == "cpu"

    def encode(self, images: Tensor, resize: ImageResize | None = None) -> Tensor:
        """Images (S, H, W, 3) uint8, prepared or to be resized, to feature rows (S * h * w, C)."""
        planes = images.permute(0, 3, 1, 2).float() if resize is None else resized(images, resize)
        centred = planes - self.mean.view(1, 3, 1, 1)
        features = self.encoder(centred.to(self.dtype))
        return features.permute(0, 2, 3, 1).reshape(-1, self.config.latent_dim)

    def compress(self, voxels: Tensor) -> Tensor:
        """Voxel rows (Y * X * Z, C), the largest of all tensors, to a plane (1, C, Y, X)."""
        rows, columns = self.config.grid.shape
        return self.compressor(voxels.view(1, rows, columns, -1).permute(0, 3, 1, 2))

    def lift(self, rows: Tensor, table: GatherTable | LiftGeometry) -> Tensor:
        """Feature rows to a plane, as compress would give it from all voxels at once.

        Of a network with a sensor, measure goes on with it.

        In strips the voxels of a strip are still in a CPU's cache when they are convolved, and
        never take the memory of all.

        Args:
            rows: (S * h * w, C).
            table: of the voxels, or for a lift that learned something the geometry.
        """
        if not isinstance(table, GatherTable):
            return self._learned_lift(rows, table)
        num_y, num_x = self.config.grid.shape
        per_line = num_x * len(self.config.heights_m)
        lines = STRIP_BYTES // (per_line * self.config.latent_dim * self.dtype.itemsize)
        if not self.in_strips or lines >= num_y:
            return self.compress(self.gather(rows, table))
        convolution, *rest = self.compressor
        plane = rows.new_empty(1, num_y, num_x, self.config.latent_dim).permute(0, 3, 1, 2)
        step = max(lines, MIN_STRIP_LINES)
        for first in range(0, num_y, step):
            last = min(first + step, num_y)
            # The convolution also reads the line before and the line after.
            begin, end = max(first - 1, 0), min(last + 1, num_y)
            voxels = self.gather(rows, table.rows(begin * per_line, end * per_line))
            voxels = voxels.view(1, end - begin, num_x, -1).permute(0, 3, 1, 2)
            plane[:, :, first:last] = convolution(voxels)[:, :, first - begin : last - begin]
        for layer in rest:
            plane = layer(plane)
        return plane

    def _learned_lift(self, rows: Tensor, geometry: LiftGeometry) -> Tensor:
        count, shape = geometry.num_cameras, self.config.feature_shape
        features = rows.view(1, count, *shape, -1).permute(0, 1, 4, 2, 3)
        plane: Tensor = self.compressor(lifted(features, geometry, self.lifting))
        return plane

    def measure(self, plane: Tensor, sensor_map: Tensor) -> Tensor:
        """A plane (1, C, Y, X) of lift with what a sensor measured (1, channels, Y, X)."""
        if self.sensor_convolution is None:
            return plane
        measured = self.sensor_convolution(sensor_map.to(plane.device, plane.dtype))
        added: Tensor = self.behind_sensor(plane + measured)
        return added

    def remember(self, plane: Tensor, seen: Tensor, step: MemoryStep | None) -> Tensor:
        """A plane (1, C, Y, X) with what is remembered, which is stored, too.

        Args:
            plane: of the lift; must stay as it is.
            seen: (Y, X) bool, cells at which cameras look.
            step: of the one stream; None for a set without any before it.
        """
        if self.memory is None:
            return plane
        step = step or MemoryStep.nothing(1, self.config.memory)
        fused: Tensor = self.memory(plane, step, seen.view(1, 1, *plane.shape[2:]))
        return fused

    def decode(self, plane: Tensor) -> Tensor:
        """A plane (1, C, Y, X) to maps (K + 3, Y, X), or (K + 5, Y, X) with memory.

        They are occupancy of K classes and centre before the sigmoid, the offset's x and y in
        metres, and with memory the velocity's x and y in metres per second.
        """
        if self.config.mirrored_decoder:
            return self.heads(self.decoder(plane.flip(-2)).flip(-2))[0]
        return self.heads(self.decoder(plane))[0]


def fold_batch_norms(network: nn.Module) -> None:
    """Folds every batch norm of an evaluating network into the convolution before it."""
    for module in list(network.modules()):
        if isinstance(module, (BasicBlock, Bottleneck)):
            _fold(module, "conv2", "bn2")
            _fold(module, "conv3", "bn3")
            if module.downsample is not None:
                _fold(module.downsample, "0", "1")
        _fold(module, "conv1", "bn1")


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    children = dict(module.named_children())
    before, after = children.get(convolution), children.get(norm)
    if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
        setattr(module, convolution, fuse_conv_bn_eval(before, after))
        setattr(module, norm, nn.Identity())


def fold_deviation(convolution: nn.Conv2d) -> nn.Conv2d:
    """A convolution of images in 0..255 less their mean, for one of normalised images.

    The mean stays out of it: padding is worth the mean colour and so must stay zero.
    """
    std = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1) * 255.0
    return _with_weight(convolution, convolution.weight.detach() / std, convolution.bias)


def merged_heads(heads: Sequence[nn.Sequential]) -> nn.Sequential:
    """One head that answers what several heads answer, their outputs stacked.

    Args:
        heads: 3x3 convolution, instance norm, ReLU and 1x1 convolution each, of the same input.
    """
    first: list[nn.Conv2d] = [head[0] for head in heads]  # type: ignore[misc]
    last: list[nn.Conv2d] = [head[3] for head in heads]  # type: ignore[misc]
    mixed = _with_weight(first[0], torch.cat([conv.weight for conv in first]), None)
    weight = torch.block_diag(*[conv.weight.flatten(1) for conv in last])[..., None, None]
    bias = torch.cat([conv.bias for conv in last if conv.bias is not None])
    answered = _with_weight(last[0], weight, bias)
    return nn.Sequential(mixed, InstanceNorm(), nn.ReLU(inplace=True), answered)


def _in_metres_per_second(head: nn.Sequential) -> nn.Sequential:
    """A head of velocities with their unit in its weights."""
    last: nn.Conv2d = head[3]  # type: ignore[assignment]
    unit = VELOCITY_UNIT_M_PER_S
    bias = None if last.bias is None else unit * last.bias
    return nn.Sequential(*list(head)[:3], _with_weight(last, unit * last.weight, bias))


def _with_weight(like: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution of the same stride and padding with other weights."""
    made = nn.Conv2d(
        weight.shape[1],
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        stride=(like.stride[0], like.stride[1]),
        padding=(int(like.padding[0]), int(like.padding[1])),
        bias=bias is not None,
    )
    made.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return made
