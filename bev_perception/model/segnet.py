# SPDX-License-Identifier: Apache-2.0
"""Segnet (Harley et al. 2022, "Simple-BEV"): images of a rig to the vehicles around it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bev_perception.errors import ConfigurationError
from bev_perception.model.bev_decoder import BevDecoder, make_compressor, make_head
from bev_perception.model.config import SegnetConfig
from bev_perception.model.encoder import ImageEncoder
from bev_perception.model.feature_memory import MemoryStep
from bev_perception.model.lift_geometry import LiftGeometry
from bev_perception.model.lifts import lifted, make_lift
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.model.memory_fusion import make_memory

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

VELOCITY_UNIT_M_PER_S = 10.0
"""What the velocity head says 1 for: weights of usual size then reach the speeds of streets."""

_INPUTS = {
    "none": "images alone",
    "radar": "a map of radar returns beside images",
    "radar_features": "radar returns with their features beside images",
    "lidar": "a map of LiDAR points beside images",
}


def normalised(images: Tensor) -> Tensor:
    """RGB images (N, 3, H, W) in 0..255 to float32 of ImageNet's mean 0 and deviation 1."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=images.device).view(1, 3, 1, 1)
    return (images.float() - 255.0 * mean) * (1.0 / (255.0 * std))


class SegnetOutput(NamedTuple):
    """What Segnet says about B rigs, in the grid's [row = y, column = x] order.

    Attributes:
        raw_feature: (B, latent_dim, Y, X), the decoder's output that all heads share.
        feature: (B, latent_dim, Y, X) of the feature head, or None when it was left out.
        segmentation: (B, K, Y, X) float32 logits of occupancy, one channel per class.
        center: (B, 1, Y, X) float32 in 0..1, after the sigmoid.
        offset: (B, 2, Y, X) float32 metres, x then y, from the cell to its object's centre.
        velocity: (B, 2, Y, X) float32 metres per second over ground, x then y; of a network
            with memory, else None.
    """

    raw_feature: Tensor
    feature: Tensor | None
    segmentation: Tensor
    center: Tensor
    offset: Tensor
    velocity: Tensor | None = None

    @property
    def occupancy(self) -> Tensor:
        """(B, 1, Y, X) probability of the likeliest class."""
        return self.segmentation.amax(dim=1, keepdim=True).sigmoid()


class Segnet(nn.Module):
    """Encoder, lift, compressor, BEV decoder and heads."""

    def __init__(self, config: SegnetConfig) -> None:
        super().__init__()
        self.config = config
        latent = config.latent_dim
        self.encoder = ImageEncoder(
            config.encoder, latent, config.light_widths, config.feature_stride
        )
        self.lifting = make_lift(config)
        self.compressor = make_compressor(config.lift_planes, latent)
        self.sensor_convolution = (
            nn.Conv2d(config.sensor_channels, latent, 3, padding=1, bias=False)
            if config.sensor_channels
            else None
        )
        self.decoder = BevDecoder(latent, config.decoder_widths, config.decoder_stride)
        self.feature_head = make_head(latent, latent) if config.feature_head else None
        self.segmentation_head = make_head(latent, config.num_classes)
        self.center_head = make_head(latent, 1)
        self.offset_head = make_head(latent, 2)
        self.memory = make_memory(config)
        self.velocity_head = None if self.memory is None else make_head(latent, 2)

    @property
    def feature_stride(self) -> int:
        """Image pixels per feature cell."""
        return self.config.feature_stride

    def forward(
        self,
        images: Tensor,
        taps: LiftGeometry,
        with_feature: bool = True,
        sensor_map: Tensor | None = None,
        memory: MemoryStep | None = None,
    ) -> SegnetOutput:
        """One pass.

        Args:
            images: (B, S, 3, H, W) uint8 or floating in 0..255, RGB. A view of
                (B, S, H, W, 3) memory is the fast case.
            taps: of the same B rigs with S cameras, for the configured lift; leaves missing cameras
                out.
            with_feature: False leaves the feature head out.
            sensor_map: (B, config.sensor_channels, Y, X), see sensor_map.py; None for a network
                that takes images alone.
            memory: of the B streams, which goes on; None for sets without any before them.

        Raises:
            ConfigurationError: the network needs a sensor map and got none, or the reverse.
        """
        bev = self.lift(self.encode(images), taps, sensor_map)
        return self.decode(self.remember(bev, taps, memory), with_feature)

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, S, 3, H, W) to features (B, S, latent_dim, H / stride, W / stride)."""
        flat = normalised(images.flatten(0, 1)).to(self.encoder.to_latent.weight.dtype)
        flat = flat.contiguous(memory_format=torch.channels_last)
        return self.encoder(flat).unflatten(0, images.shape[:2])

    def lift(
        self, features: Tensor, taps: LiftGeometry, sensor_map: Tensor | None = None
    ) -> Tensor:
        """Features (B, S, C, h, w) to the BEV feature (B, C, Y, X) before the decoder."""
        if (self.sensor_convolution is None) != (sensor_map is None):
            raise ConfigurationError(
                f"this network takes {_INPUTS[self.config.sensor]}, and it got "
                f"{'images alone' if sensor_map is None else 'a sensor map beside them'}"
            )
        voxels = lifted(features, taps, self.lifting)
        if self.sensor_convolution is None or sensor_map is None:
            return self.compressor(voxels)
        # One convolution over both, as convolutions add up over their input channels.
        measured = self.sensor_convolution(sensor_map.to(voxels.dtype))
        return self.compressor[1:](self.compressor[0](voxels) + measured)

    def remember(self, bev: Tensor, taps: LiftGeometry, memory: MemoryStep | None = None) -> Tensor:
        """The lift's BEV feature (B, C, Y, X) with what is remembered, which it stores, too."""
        if self.memory is None:
            return bev
        step = memory or MemoryStep.nothing(len(bev), self.config.memory)
        return self.memory(bev, step, self._seen(bev, taps))

    def observe(
        self,
        images: Tensor,
        taps: LiftGeometry,
        memory: MemoryStep,
        sensor_map: Tensor | None = None,
    ) -> None:
        """Only remembers: a set whose answer nobody asks for; arguments as forward's."""
        if self.memory is not None:
            bev = self.lift(self.encode(images), taps, sensor_map)
            self.memory.observe(bev, memory, self._seen(bev, taps))

    def _seen(self, bev: Tensor, taps: LiftGeometry) -> Tensor:
        """(B, 1, Y, X) bool."""
        return torch.from_numpy(taps.seen).to(bev.device).view(-1, 1, *bev.shape[2:])

    def decode(self, bev: Tensor, with_feature: bool = True) -> SegnetOutput:
        """BEV feature (B, C, Y, X) to the heads."""
        mirrored = self.config.mirrored_decoder
        raw = self.decoder(bev.flip(-2)).flip(-2) if mirrored else self.decoder(bev)
        feature = None
        if with_feature and self.feature_head is not None:
            feature = self.feature_head(raw)
        return SegnetOutput(
            raw_feature=raw,
            feature=feature,
            segmentation=self.segmentation_head(raw).float(),
            center=self.center_head(raw).float().sigmoid(),
            offset=self.offset_head(raw).float(),
            velocity=self._velocity(raw),
        )

    def _velocity(self, raw: Tensor) -> Tensor | None:
        if self.velocity_head is None:
            return None
        velocity: Tensor = VELOCITY_UNIT_M_PER_S * self.velocity_head(raw).float()
        return velocity


def with_memory(model: Segnet, memory: MemoryConfig) -> Segnet:
    """The network itself if that is its memory, else a copy with this one.

    What the memory has learned is kept if it is of the same kind and slots. Another one is new: it
    adds nothing to the BEV feature until it is trained, and its velocities mean nothing.
    """
    if model.config.memory == memory:
        return model
    made, learned = Segnet(replace(model.config, memory=memory)), model.state_dict()
    if not _is_alike(model.config.memory, memory):
        own = ("memory.", "velocity_head.")
        learned = {name: value for name, value in learned.items() if not name.startswith(own)}
    made.load_state_dict({**made.state_dict(), **learned})
    return made


def _is_alike(one: MemoryConfig, other: MemoryConfig) -> bool:
    """Whether weights mean the same in both."""
    if one.kind != other.kind or one.kind != "queue":
        return one.kind == other.kind
    return one.time_slots == other.time_slots and one.distance_slots == other.distance_slots
