# SPDX-License-Identifier: Apache-2.0
"""The data set: prepared bags, augmented, with their lift's tables and targets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from bev_perception.datasets.prepared_bag import PreparedBag, Sample
from bev_perception.datasets.targets import TargetSettings, make_targets
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import PinholeCamera, Rig, RigCamera
from bev_perception.model import LiftGeometry, SegnetConfig, build_lift_geometry
from bev_perception.model.sensor_map import cloud_map
from bev_perception.training.augmentation import AugmentationConfig, augmented
from bev_perception.training.batch import Example
from bev_perception.training.depth_supervision import depth_targets


class TapTableCache:
    """Keeps the tables of the rigs seen last; most samples share a few rigs.

    Extrinsics that differ by less than a micrometre or a microradian share a table.

    Args:
        config: the model.
        max_bytes: memory for the tables, of which one is always kept. A table of the tiny model
            takes 9 MiB, one of the seed model 92 MiB, and where the vehicle pitches every
            set has its own.
    """

    def __init__(self, config: SegnetConfig, max_bytes: int = 1 << 30) -> None:
        self._config = config
        self._max_bytes = max_bytes
        self._tables: OrderedDict[bytes, LiftGeometry] = OrderedDict()

    def table(self, rig: Rig, present: NDArray[np.bool_]) -> LiftGeometry:
        """The table of a prepared, levelled rig."""
        key = _rig_key(rig, present)
        table = self._tables.pop(key, None)
        if table is None:
            table = build_lift_geometry(rig, self._config, present.tolist(), True, rig_id="")
            room = self._max_bytes - table.num_bytes
            while self._tables and sum(kept.num_bytes for kept in self._tables.values()) > room:
                self._tables.popitem(last=False)
        self._tables[key] = table
        return table


class SegnetDataset(Dataset[Example]):
    """Sets of prepared bags.

    Args:
        bags: all with the model's image size.
        config: the model.
        targets: how boxes become targets.
        augmentation: variations to draw; None for evaluation.
        seed: of the variations.
        chosen: (K,) indices of the sets that are used, counted through all bags; None for all.

    Raises:
        ConfigurationError: targets and model have other classes.
    """

    def __init__(
        self,
        bags: Sequence[PreparedBag],
        config: SegnetConfig,
        targets: TargetSettings | None = None,
        augmentation: AugmentationConfig | None = None,
        seed: int = 0,
        chosen: NDArray[np.int64] | None = None,
    ) -> None:
        self._bags = tuple(bags)
        self._config = config
        self._grid = config.grid
        self._targets = targets or TargetSettings(classes=config.classes)
        if self._targets.classes != config.classes:
            raise ConfigurationError(
                f"targets.classes {list(self._targets.classes)} and model.classes "
                f"{list(config.classes)} must be the same"
            )
        self._augmentation = augmentation
        self._seed = seed
        repeated = augmentation is None or augmentation.repeats_rigs
        self._tables = TapTableCache(config) if repeated else TapTableCache(config, max_bytes=0)
        self._ends = np.cumsum([len(bag) for bag in bags])
        num_sets = int(self._ends[-1]) if len(self._ends) else 0
        self._chosen = np.arange(num_sets) if chosen is None else chosen
        self._num_cameras = max((bag.num_cameras for bag in bags), default=0)

    def __len__(self) -> int:
        return len(self._chosen)

    def sample(self, index: int) -> Sample:
        """The index-th moment as recorded."""
        number = int(self._chosen[index])
        bag = int(np.searchsorted(self._ends, number, side="right"))
        first = int(self._ends[bag - 1]) if bag else 0
        return self._bags[bag].sample(number - first)

    def variation(self, index: int, position: int) -> Sample:
        """The index-th moment as training sees it at a position; as recorded for evaluation."""
        sample = self.sample(index)
        if self._augmentation is None:
            return sample
        random = np.random.default_rng((self._seed, position))
        return augmented(sample, self._augmentation, random)

    def __getitem__(self, key: int | tuple[int, int]) -> Example:
        """One example; (index, position) draws the variation that belongs to the position."""
        index, position = key if isinstance(key, tuple) else (key, key)
        return self.example(self.variation(index, position))

    def example(self, sample: Sample, taught: bool = True) -> Example:
        """What the network gets of a sample; with taught false its targets are empty."""
        sample = padded(sample, self._num_cameras)
        taps = self._tables.table(sample.rig, sample.present)
        targets = make_targets(sample.objects if taught else (), self._grid, self._targets)
        if self._augmentation is not None and self._augmentation.ignore_unseen:
            targets = replace(targets, valid=targets.valid & taps.seen)
        depth, measured = self._depth(sample), self._sensor_map(sample)
        return Example(sample.images, taps, targets, depth, measured)

    def _sensor_map(self, sample: Sample) -> Tensor | None:
        if self._config.sensor == "none":
            return None
        return cloud_map(None if sample.cloud_lost else sample.points, self._config)

    def _depth(self, sample: Sample) -> NDArray[np.float32] | None:
        if self._config.lift != "depth" or sample.points is None:
            return None
        rig = sample.rig if sample.taken_by is None else sample.taken_by
        return depth_targets(sample.points, rig, sample.present.tolist(), self._config)


def padded(sample: Sample, num_cameras: int) -> Sample:
    """The sample with missing cameras added, so that rigs of different size fit one batch."""
    extra = num_cameras - len(sample.rig)
    if extra <= 0:
        return sample
    blank = np.zeros((extra, *sample.images.shape[1:]), dtype=np.uint8)
    return replace(
        sample,
        images=np.concatenate([sample.images, blank]),
        present=np.concatenate([sample.present, np.zeros(extra, dtype=bool)]),
        rig=_padded_rig(sample.rig, extra),
        taken_by=None if sample.taken_by is None else _padded_rig(sample.taken_by, extra),
    )


def _padded_rig(rig: Rig, extra: int) -> Rig:
    cameras: dict[str, RigCamera] = dict(rig.cameras)
    stand_in = next(iter(cameras.values()))
    cameras.update({f"padding_{number}": stand_in for number in range(extra)})
    return Rig(cameras)


def _rig_key(rig: Rig, present: NDArray[np.bool_]) -> bytes:
    parts = [present.tobytes()]
    for entry in rig.cameras.values():
        parts += [*_camera_key(entry.camera), _rounded(entry.base_T_camera.matrix)]
    return b"|".join(parts)


def _camera_key(camera: PinholeCamera) -> list[bytes]:
    size = np.array([camera.width, camera.height]).tobytes()
    lens = camera.distortion_model.encode(), _rounded(np.array(camera.distortion))
    parts = [size, _rounded(camera.matrix), *lens]
    if camera.window is not None:
        behind = _camera_key(camera.window.camera)
        parts += [_rounded(camera.window.real_R_turned), *behind]
    return parts


def _rounded(numbers: NDArray[np.float64]) -> bytes:
    return bytes((np.round(numbers, 6) + 0.0).tobytes())  # + 0.0 turns -0.0 into 0.0
