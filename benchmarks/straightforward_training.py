# SPDX-License-Identifier: Apache-2.0
"""The straightforward training loop that benchmarks/training.py measures ours against.

Written from the published description, not copied: samples are JPEG files and boxes, decoded,
resized and rasterised one by one in Python; calibrations are matrices; the lift projects every
voxel into every camera and samples it with a 5D grid_sample. Weights and losses are ours, so
that both loops minimise the same thing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from segnet import use_library_norms
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from bev_perception.geometry import ObjectBox, Rig
from bev_perception.model import Segnet, SegnetConfig
from bev_perception.training.losses import (
    UncertaintyWeighting,
    center_loss,
    offset_loss,
    segmentation_loss,
)

SIGMA_CELLS = 3.0
MEAN = torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1)
DEVIATION = torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1)


@dataclass(frozen=True)
class FileSample:
    """One labelled moment: JPEG files in the rig's order, boxes in levelled base_link."""

    files: tuple[Path, ...]
    rig: Rig
    objects: tuple[ObjectBox, ...]


class FileSamples(Dataset[tuple[Tensor, ...]]):
    """Decodes and rasterises a sample whenever it is asked for.

    Gives images (S, 3, H, W) in -0.5..0.5, intrinsics and extrinsics (S, 4, 4), and the four
    targets (1 or 2, Y, X).
    """

    def __init__(self, samples: list[FileSample], config: SegnetConfig) -> None:
        self.samples = samples
        self.config = config

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        sample = self.samples[index]
        height, width = self.config.image_size
        images, intrinsics, extrinsics = [], [], []
        for file, entry in zip(sample.files, sample.rig.cameras.values()):
            image = Image.open(file).convert("RGB").resize((width, height), Image.BILINEAR)
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255.0
            images.append(pixels - 0.5)
            matrix = np.eye(4)
            matrix[:3, :3] = entry.camera.matrix
            intrinsics.append(torch.from_numpy(matrix).float())
            extrinsics.append(torch.from_numpy(entry.base_T_camera.inverse().matrix).float())
        targets = [torch.from_numpy(array).float() for array in self.targets(sample.objects)]
        return torch.stack(images), torch.stack(intrinsics), torch.stack(extrinsics), *targets

    def targets(self, objects: tuple[ObjectBox, ...]) -> tuple[NDArray[np.float32], ...]:
        """Segmentation, valid, centre and offset, object by object over the whole grid."""
        grid = self.config.grid
        rows, columns = np.meshgrid(np.arange(grid.num_y), np.arange(grid.num_x), indexing="ij")
        segmentation = np.zeros(grid.shape, dtype=np.float32)
        valid = np.ones(grid.shape, dtype=np.float32)
        center = np.zeros(grid.shape, dtype=np.float32)
        offset = np.zeros((2, *grid.shape), dtype=np.float32)
        origin = np.array([grid.x_min, grid.y_min])
        for box in objects:
            if not box.is_vehicle:
                continue
            corners = np.round((box.footprint - origin) / grid.resolution).astype(np.int32)
            mask = np.zeros(grid.shape, dtype=np.uint8)
            cv2.fillPoly(mask, [corners], 1)
            segmentation[mask > 0] = 1.0
            valid[mask > 0] = float(not box.visibility <= 0.4)
            column, row = (box.center[:2] - origin) / grid.resolution
            squared = (columns - column) ** 2 + (rows - row) ** 2
            center = np.maximum(center, np.exp(-squared / (2.0 * SIGMA_CELLS**2)))
            offset[0][mask > 0] = ((column - columns) * grid.resolution)[mask > 0]
            offset[1][mask > 0] = ((row - rows) * grid.resolution)[mask > 0]
        return segmentation[None], valid[None], center[None], offset


class StraightforwardLoop:
    """One step after the other.

    Args:
        samples: to learn from, shuffled.
        model: whose weights it starts from.
        batch_size, workers: of the loader.
    """

    def __init__(
        self, samples: list[FileSample], model: Segnet, batch_size: int, workers: int
    ) -> None:
        self.model = model.train()
        use_library_norms(self.model)
        self.weighting = UncertaintyWeighting()
        parameters = [*self.model.parameters(), *self.weighting.parameters()]
        self.parameters = [p for p in parameters if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=3e-4, weight_decay=1e-7, foreach=False
        )
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, 3e-4, 25_100, pct_start=0.05, cycle_momentum=False
        )
        loader = DataLoader(
            FileSamples(samples, model.config),
            batch_size,
            shuffle=True,
            num_workers=workers,
            drop_last=True,
            persistent_workers=workers > 0,
        )
        self.batches: Iterator[list[Tensor]] = itertools.chain.from_iterable(
            itertools.repeat(loader)
        )
        self.points = voxel_centers(model.config)

    def step(self, batch: list[Tensor]) -> float:
        """Learns from one batch; its total loss."""
        images, intrinsics, extrinsics, segmentation, valid, center, offset = batch
        self.optimizer.zero_grad()
        flat = (images.flatten(0, 1) + 0.5 - MEAN) / DEVIATION
        features = self.model.encoder(flat)  # (B * S, C, h, w)
        voxels = self.lift(features, intrinsics, extrinsics)
        output = self.model.decode(self.model.compressor(voxels), with_feature=False)
        loss = self.weighting(
            segmentation_loss(output.segmentation, segmentation, valid),
            center_loss(output.center, center),
            offset_loss(output.offset, offset, segmentation, valid),
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 5.0, foreach=False)
        self.optimizer.step()
        self.scheduler.step()
        return loss.item()

    def lift(self, features: Tensor, intrinsics: Tensor, extrinsics: Tensor) -> Tensor:
        """Features (B * S, C, h, w) to the stacked mean over cameras (B, Z * C, Y, X)."""
        batch, cameras = intrinsics.shape[:2]
        height, width = self.model.config.image_size
        depth, rows, columns = self.points.shape[:3]
        in_camera = self.points.reshape(1, -1, 4) @ extrinsics.flatten(0, 1).transpose(1, 2)
        projected = in_camera @ intrinsics.flatten(0, 1).transpose(1, 2)
        z = projected[..., 2:3]
        pixels = projected[..., :2] / z.clamp(min=1e-4)
        inside = (pixels > -0.5) & (pixels < torch.tensor([width - 0.5, height - 0.5]))
        seen = (inside.all(dim=-1, keepdim=True) & (z > 0)).float()
        places = (2.0 * pixels + 1.0) / torch.tensor([width, height]) - 1.0
        places = torch.cat([places, torch.zeros_like(z)], dim=-1)
        places = places.view(-1, depth, rows, columns, 3)
        sampled = functional.grid_sample(
            features[:, :, None], places, padding_mode="border", align_corners=False
        )
        sampled = sampled * seen.view(-1, 1, depth, rows, columns)
        volumes = sampled.view(batch, cameras, -1, depth, rows, columns)
        mask = (volumes.abs() > 0).float()  # a camera sees what it has a feature for
        mean = (volumes * mask).sum(dim=1) / (mask.sum(dim=1) + 1e-6)  # (B, C, Z, Y, X)
        return mean.transpose(1, 2).flatten(1, 2)


def voxel_centers(config: SegnetConfig) -> Tensor:
    """Homogeneous centres (Z, Y, X, 4) of the voxels in base_link."""
    points = np.ones((len(config.heights_m), *config.grid.shape, 4), dtype=np.float32)
    points[..., :2] = config.grid.cell_centers
    points[..., 2] = np.array(config.heights_m)[:, None, None]
    return torch.from_numpy(points)
