# SPDX-License-Identifier: Apache-2.0
"""Simple-BEV as its paper and REFERENCE describe it: formulas over a state dict, no modules.

The oracle of the checkpoint import. Frames are the original's: the reference camera is cameras[0],
voxels are (Z forward, Y down, X right), planes are [row = forward, column = right].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bev_perception.geometry import Rig

State = dict[str, Tensor]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DEPTHS = {"resnet101": (3, 4, 23), "resnet50": (3, 4, 6)}
EXTRA_CHANNELS = {"none": 0, "radar": 1, "radar_features": 16, "lidar": 1}


@dataclass(frozen=True)
class Voxels:
    """The original's grid: counts along Z, Y, X over +-half_m, and 10 m around 1 m below."""

    num_z: int
    num_y: int
    num_x: int
    half_m: tuple[float, float]  # along z and x

    def centers(self) -> np.ndarray:
        """(Z, Y, X, 3) metres x, y, z in the reference camera's optical frame."""
        z = _centers(-self.half_m[0], self.half_m[0], self.num_z)
        y = _centers(-4.0, 6.0, self.num_y)
        x = _centers(-self.half_m[1], self.half_m[1], self.num_x)
        grid_z, grid_y, grid_x = np.meshgrid(z, y, x, indexing="ij")
        return np.stack([grid_x, grid_y, grid_z], axis=-1)


def _centers(low: float, high: float, count: int) -> np.ndarray:
    return low + (np.arange(count) + 0.5) * (high - low) / count


@dataclass(frozen=True)
class Outputs:
    """(B, ., Z, X) each; offset as learned: twice the cells (right, forward) from the centre."""

    raw: Tensor
    feature: Tensor
    segmentation: Tensor
    center: Tensor
    offset: Tensor


@torch.no_grad()
def original_outputs(
    state: State,
    images: Tensor,
    rigs: Sequence[Rig],
    voxels: Voxels,
    sensor: Tensor | None = None,
) -> Outputs:
    """The original's answer.

    Args:
        state: by the original's names.
        images: (B, S, 3, H, W) in 0..1.
        rigs: B of them; the frame that they are mounted in does not matter.
        voxels: the grid.
        sensor: (B, F, Z, Y, X) of the networks that take one.
    """
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    features = encode(state, ((images - 0.5) + 0.5 - mean).flatten(0, 1) / std)
    features = features.unflatten(0, images.shape[:2])
    size = tuple(images.shape[-2:])
    volume = torch.stack(
        [lift(maps, rig, size, voxels) for maps, rig in zip(features, rigs, strict=True)]
    )  # (B, C, Z, Y, X)
    return decode(state, compress(state, volume, sensor))


def encode(state: State, x: Tensor) -> Tensor:
    """Normalised images (N, 3, H, W) to features (N, C, H / 8, W / 8)."""
    x = functional.conv2d(x, state["encoder.backbone.0.weight"], stride=2, padding=3)
    x = functional.relu(_batch_norm(state, "encoder.backbone.1", x))
    x = functional.max_pool2d(x, 3, stride=2, padding=1)
    x = _layer(state, "encoder.backbone.4", x, 1)
    fine = _layer(state, "encoder.backbone.5", x, 2)
    coarse = _doubled(_layer(state, "encoder.layer3", fine, 2))
    x = torch.cat([fine, coarse], dim=1)
    for index in (0, 3):
        x = _conv(state, f"encoder.upsampling_layer.conv.{index}", x)
        x = functional.relu(functional.instance_norm(x))
    return _conv(state, "encoder.depth_layer", x)


def lift(maps: Tensor, rig: Rig, image_size: tuple[int, int], voxels: Voxels) -> Tensor:
    """Features (S, C, h, w) of one rig to voxels (C, Z, Y, X), the sampling quirk included.

    In double precision: where a camera's view ends, rounding would decide who sees a voxel.
    """
    levels = voxels.centers().transpose(1, 0, 2, 3)
    return torch.stack([_level(maps.double(), rig, image_size, level) for level in levels], dim=2)


def _level(maps: Tensor, rig: Rig, image_size: tuple[int, int], points: np.ndarray) -> Tensor:
    """Features at points (Z, X, 3) of the reference camera's frame: (C, Z, X) float32."""
    rows, columns = maps.shape[-2:]
    reference = rig[rig.names[0]].base_T_camera.matrix
    total, count = torch.zeros(()), torch.zeros(())
    for position, name in enumerate(rig.names):
        matrix = rig[name].camera.matrix.copy()
        matrix[0] *= columns / image_size[1]
        matrix[1] *= rows / image_size[0]
        cam_T_reference = np.linalg.inv(rig[name].base_T_camera.matrix) @ reference
        in_camera = points @ cam_T_reference[:3, :3].T + cam_T_reference[:3, 3]
        depth = in_camera[..., 2]
        pixels = (in_camera @ matrix.T)[..., :2] / np.maximum(depth, 1e-6)[..., None]
        x, y = pixels[..., 0], pixels[..., 1]
        valid = (x > -0.5) & (x < columns - 0.5) & (y > -0.5) & (y < rows - 0.5) & (depth > 0)
        # Normalised for corners that are aligned, sampled for corners that are not.
        normalised = np.stack([2 * x / (columns - 1) - 1, 2 * y / (rows - 1) - 1], axis=-1)
        where = torch.from_numpy(normalised.clip(-2, 2))[None]
        sampled = functional.grid_sample(maps[position, None], where, align_corners=False)[0]
        sampled = sampled * torch.from_numpy(valid)
        total = total + sampled
        count = count + (sampled != 0)
    return (total / (count + 1e-6)).float()


def compress(state: State, volume: Tensor, sensor: Tensor | None) -> Tensor:
    """Voxels (B, C, Z, Y, X) and the sensor's (B, F, Z, Y, X) to the plane (B, C, Z, X)."""
    x = _stacked(volume)
    if sensor is not None:
        weight = state["bev_compressor.0.weight"]
        squashed = weight.shape[1] == x.shape[1] + 1
        more = sensor.sum(dim=3).clamp(0, 1) if squashed else _stacked(sensor)
        x = torch.cat([x, more], dim=1)
    return functional.gelu(functional.instance_norm(_conv(state, "bev_compressor.0", x)))


def decode(state: State, x: Tensor) -> Outputs:
    """The plane (B, C, Z, X) to the heads. Any size: what doubling gives too much is cut off."""
    skip1 = x
    x = functional.conv2d(x, state["decoder.first_conv.weight"], stride=2, padding=3)
    x = functional.relu(_batch_norm(state, "decoder.bn1", x))
    skip2 = _layer(state, "decoder.layer1", x, 1)
    skip4 = _layer(state, "decoder.layer2", skip2, 2)
    x = _layer(state, "decoder.layer3", skip4, 2)
    for name, skip in (("up3_skip", skip4), ("up2_skip", skip2), ("up1_skip", skip1)):
        x = _doubled(x)[..., : skip.shape[-2], : skip.shape[-1]]
        x = functional.instance_norm(_conv(state, f"decoder.{name}.upsample_layer.1", x)) + skip
    heads = [
        _head(state, f"decoder.{name}", x)
        for name in ("feat_head", "segmentation_head", "instance_center_head")
    ]
    offset = _head(state, "decoder.instance_offset_head", x)
    return Outputs(x, heads[0], heads[1], heads[2].sigmoid(), offset)


def _stacked(volume: Tensor) -> Tensor:
    """(B, C, Z, Y, X) to (B, C * Y, Z, X), channel c * Y + y."""
    return volume.transpose(2, 3).flatten(1, 2)


def _head(state: State, name: str, x: Tensor) -> Tensor:
    x = functional.relu(functional.instance_norm(_conv(state, f"{name}.0", x)))
    return _conv(state, f"{name}.3", x)


def _layer(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    block = 0
    while f"{name}.{block}.conv1.weight" in state:
        x = _block(state, f"{name}.{block}", x, stride if block == 0 else 1)
        block += 1
    assert block, name
    return x


def _block(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    """A basic block; a bottleneck, whose 3x3 strides, where there is a third convolution."""
    shortcut, bottleneck = x, f"{name}.conv3.weight" in state
    if f"{name}.downsample.0.weight" in state:
        shortcut = functional.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
        shortcut = _batch_norm(state, f"{name}.downsample.1", shortcut)
    strides = (1, stride, 1) if bottleneck else (stride, 1)
    for index, step in enumerate(strides, start=1):
        x = _batch_norm(state, f"{name}.bn{index}", _conv(state, f"{name}.conv{index}", x, step))
        x = functional.relu(x if index < len(strides) else x + shortcut)
    return x


def _conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    padding = weight.shape[-1] // 2
    return functional.conv2d(x, weight, state.get(f"{name}.bias"), stride, padding)


def _batch_norm(state: State, name: str, x: Tensor) -> Tensor:
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(x, *parts)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def random_state(
    encoder: str = "resnet50",
    latent: int = 8,
    num_y: int = 8,
    sensor: str = "none",
    widths: tuple[int, int, int] = (8, 12, 16),
    seed: int = 0,
) -> State:
    """Random tensors under the names and shapes of the public code, scaled to stay in range."""
    shapes: dict[str, tuple[int, ...]] = {}
    shapes["encoder.backbone.0.weight"] = (64, 3, 7, 7)
    _norm_shapes(shapes, "encoder.backbone.1", 64)
    places = ("encoder.backbone.4", "encoder.backbone.5", "encoder.layer3")
    incoming = 64
    for place, depth, width in zip(places, DEPTHS[encoder], (64, 128, 256), strict=True):
        for block in range(depth):
            _block_shapes(shapes, f"{place}.{block}", incoming, width, True, block == 0)
            incoming = 4 * width
    shapes["encoder.depth_layer.weight"] = (latent, 512, 1, 1)
    shapes["encoder.depth_layer.bias"] = (latent,)
    shapes["encoder.upsampling_layer.conv.0.weight"] = (512, 1536, 3, 3)
    shapes["encoder.upsampling_layer.conv.3.weight"] = (512, 512, 3, 3)
    extra = EXTRA_CHANNELS[sensor] * (1 if sensor == "radar" else num_y)
    shapes["bev_compressor.0.weight"] = (latent, latent * num_y + extra, 3, 3)
    _decoder_shapes(shapes, latent, widths)
    generator = torch.Generator().manual_seed(seed)
    state = {name: _random_tensor(name, shape, generator) for name, shape in shapes.items()}
    return state | {f"{name}_weight": torch.tensor(0.1) for name in ("ce", "center", "offset")}


def _decoder_shapes(
    shapes: dict[str, tuple[int, ...]], latent: int, widths: tuple[int, int, int]
) -> None:
    first, second, third = widths
    shapes["decoder.first_conv.weight"] = (first, latent, 7, 7)
    _norm_shapes(shapes, "decoder.bn1", first)
    incoming = first
    for layer, width in enumerate(widths, start=1):
        for block in range(2):
            strided = layer > 1 and block == 0
            _block_shapes(shapes, f"decoder.layer{layer}.{block}", incoming, width, False, strided)
            incoming = width
    for number, shape in ((3, (second, third)), (2, (first, second)), (1, (latent, first))):
        shapes[f"decoder.up{number}_skip.upsample_layer.1.weight"] = (*shape, 1, 1)
    outputs = {"feat": latent, "segmentation": 1, "instance_offset": 2, "instance_center": 1}
    for head, count in outputs.items():
        shapes[f"decoder.{head}_head.0.weight"] = (latent, latent, 3, 3)
        shapes[f"decoder.{head}_head.3.weight"] = (count, latent, 1, 1)
        shapes[f"decoder.{head}_head.3.bias"] = (count,)


def _block_shapes(
    shapes: dict[str, tuple[int, ...]],
    name: str,
    incoming: int,
    width: int,
    bottleneck: bool,
    shortcut: bool,
) -> None:
    outgoing = 4 * width if bottleneck else width
    kernels = [(width, incoming, 1), (width, width, 3), (outgoing, width, 1)]
    if not bottleneck:
        kernels = [(width, incoming, 3), (width, width, 3)]
    for index, (out, into, size) in enumerate(kernels, start=1):
        shapes[f"{name}.conv{index}.weight"] = (out, into, size, size)
        _norm_shapes(shapes, f"{name}.bn{index}", out)
    if shortcut:
        shapes[f"{name}.downsample.0.weight"] = (outgoing, incoming, 1, 1)
        _norm_shapes(shapes, f"{name}.downsample.1", outgoing)


def _norm_shapes(shapes: dict[str, tuple[int, ...]], name: str, channels: int) -> None:
    for part in ("weight", "bias", "running_mean", "running_var"):
        shapes[f"{name}.{part}"] = (channels,)
    shapes[f"{name}.num_batches_tracked"] = ()


def _random_tensor(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(25000)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return 0.5 + torch.rand(shape, generator=generator)
    values = torch.randn(shape, generator=generator)
    if len(shape) == 4:
        return values / (shape[1] * shape[2] * shape[3]) ** 0.5
    return 0.1 * values
