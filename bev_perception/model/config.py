# SPDX-License-Identifier: Apache-2.0
"""Everything that determines Segnet's shape, as plain data saved beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid
from bev_perception.geometry.class_sets import VEHICLES, checked_class_set
from bev_perception.geometry.point_values import RADAR_VALUES
from bev_perception.geometry.virtual_camera import VirtualCamera
from bev_perception.model.lift_config import GROUND_LIFTS, LIFTS, LiftSettings
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.untrusted import MAX_PIXELS, shown

ENCODERS = ("resnet101", "resnet50", "resnet18", "light")
ENCODER_STRIDE = 16
"""Image sizes must be multiples of this, so that stride 8 and 16 line up."""

FEATURE_STRIDES = (8, 4)
"""Image pixels per feature cell: as published, and twice as fine."""

DECODER_STRIDES = (1, 2)
"""Grid cells per cell of the decoder along each axis."""

MIN_CELLS = 8
MAX_CHANNELS, MAX_HEIGHTS = 16_384, 1_024
"""Beyond every network that anybody trains; a damaged file may say more."""

SAMPLINGS = ("exact", "simple_bev")
"""How the lift reads features; see model/sampling.py."""

SENSORS = ("none", "radar", "radar_features", "lidar")
"""What a network may take beside images; see model/sensor_map.py."""

RADAR_FEATURES = len(RADAR_VALUES)
"""Values per radar return of the sensor "radar_features"."""


@dataclass(frozen=True)
class SegnetConfig:
    """Segnet's configuration; the defaults of the widths are the published ones.

    Attributes:
        encoder: one of ENCODERS.
        image_size: (height, width) of the prepared images in pixels, multiples of 16.
        heights_m: z of the voxel centres in metres, in levelled base_link.
        grid: the BEV grid.
        latent_dim: channels of the image features and of the BEV feature.
        decoder_widths: channels of the BEV decoder at strides 2, 4 and 8.
        light_widths: channels of the light encoder at strides 4, 8 and 16; other encoders
            ignore them.
        feature_head: whether the model has the head that no loss of the vehicle task uses.
        sampling: one of SAMPLINGS; "simple_bev" is for imported checkpoints alone.
        mirrored_decoder: whether the decoder gets the plane with y growing to the right, as
            imported checkpoints need: its strides begin at the other edge then.
        sensor: one of SENSORS, what the network takes beside images.
        classes: groups of geometry.class_sets that the segmentation tells apart, one channel
            each.
        lift: one of LIFTS, how image features become a BEV feature. The ground's lifts have the
            one height 0, whatever heights_m says.
        lift_settings: of the lifts "depth" and "attention"; others have the default, whatever is
            given.
        virtual_cameras: the canonical rig that images are turned to; empty leaves them as they
            are. See perception/rectification.py.
        memory: what the network remembers of the sets before.
        feature_stride: one of FEATURE_STRIDES, image pixels per feature cell.
        decoder_stride: one of DECODER_STRIDES. With 2 the decoder has cells twice as wide as the
            grid's, and the grid's add their details behind it.

    Raises:
        ConfigurationError: a value makes no model.
    """

    encoder: str
    image_size: tuple[int, int]
    heights_m: tuple[float, ...]
    grid: BevGrid
    latent_dim: int = 128
    decoder_widths: tuple[int, int, int] = (64, 128, 256)
    light_widths: tuple[int, int, int] = (32, 64, 128)
    feature_head: bool = True
    sampling: str = "exact"
    mirrored_decoder: bool = False
    sensor: str = "none"
    classes: tuple[str, ...] = VEHICLES
    lift: str = "bilinear"
    lift_settings: LiftSettings = field(default_factory=LiftSettings)
    virtual_cameras: tuple[VirtualCamera, ...] = ()
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    feature_stride: int = 8
    decoder_stride: int = 1

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigurationError(
                    f"unknown {name} {shown(getattr(self, name))}, expected one of "
                    f"{', '.join(map(str, known))}"
                )
        for name in ("image_size", "decoder_widths", "light_widths"):
            object.__setattr__(self, name, tuple(int(value) for value in getattr(self, name)))
        for name in ("feature_stride", "decoder_stride"):
            object.__setattr__(self, name, int(getattr(self, name)))
        object.__setattr__(self, "classes", checked_class_set(self.classes))
        object.__setattr__(self, "heights_m", tuple(float(z) for z in self.heights_m))
        if len(self.image_size) != 2 or any(
            side <= 0 or side % ENCODER_STRIDE for side in self.image_size
        ):
            raise ConfigurationError(
                f"image_size (height, width) must be positive multiples of {ENCODER_STRIDE}, "
                f"got {self.image_size}"
            )
        if not self.heights_m or not np.isfinite(self.heights_m).all():
            raise ConfigurationError(f"heights_m needs finite metres, got {self.heights_m[:9]}")
        if len(self.heights_m) > MAX_HEIGHTS:
            raise ConfigurationError(f"at most {MAX_HEIGHTS} heights_m, got {len(self.heights_m)}")
        if self.image_size[0] * self.image_size[1] > MAX_PIXELS:
            raise ConfigurationError(f"image_size {self.image_size} is beyond every camera's")
        least = MIN_CELLS * self.decoder_stride
        if min(self.grid.shape) < least:
            raise ConfigurationError(
                f"grid needs at least {least} x {least} cells, got {self.grid.num_x} x "
                f"{self.grid.num_y}: the decoder halves it {2 + self.decoder_stride} times"
            )
        if any(cells % self.decoder_stride for cells in self.grid.shape):
            raise ConfigurationError(
                f"grid needs even numbers of cells for decoder_stride {self.decoder_stride}, got "
                f"{self.grid.num_x} x {self.grid.num_y}"
            )
        for name in ("decoder_widths", "light_widths"):
            widths = getattr(self, name)
            if len(widths) != 3 or not all(1 <= width <= MAX_CHANNELS for width in widths):
                raise ConfigurationError(
                    f"{name} needs three counts from 1 to {MAX_CHANNELS}, got {widths[:3]}"
                )
        if int(self.latent_dim) != self.latent_dim or not 1 <= self.latent_dim <= MAX_CHANNELS:
            raise ConfigurationError(
                f"latent_dim must be a count from 1 to {MAX_CHANNELS}, got {self.latent_dim}"
            )
        object.__setattr__(self, "virtual_cameras", tuple(self.virtual_cameras))
        self._check_lift()

    def _check_lift(self) -> None:
        if self.lift in GROUND_LIFTS:
            object.__setattr__(self, "heights_m", (0.0,))
        if self.lift in _PLAIN_LIFTS:
            object.__setattr__(self, "lift_settings", LiftSettings())
        if self.lift == "attention" and self.latent_dim % self.lift_settings.heads:
            raise ConfigurationError(
                f"lift attention divides latent_dim by its heads, got {self.latent_dim} and "
                f"{self.lift_settings.heads}"
            )
        if self.lift != "bilinear" and self.sampling != "exact":
            raise ConfigurationError(
                f"sampling {self.sampling} is the lift bilinear's of imported checkpoints, got "
                f"lift {self.lift}"
            )
        if self.feature_stride != 8 and self.sampling != "exact":
            raise ConfigurationError(
                f"sampling {self.sampling} is of imported checkpoints, whose feature_stride is 8, "
                f"got {self.feature_stride}"
            )
        if self.lift in GROUND_LIFTS and self.sensor != "none":
            raise ConfigurationError(
                f"lift {self.lift} knows one height alone and cannot tell the voxels of points, "
                f"got sensor {self.sensor}; take another lift or sensor none"
            )

    @property
    def feature_shape(self) -> tuple[int, int]:
        """(rows, columns) of one camera's feature map."""
        return self.image_size[0] // self.feature_stride, self.image_size[1] // self.feature_stride

    @property
    def lift_planes(self) -> int:
        """How many planes of features the lift stacks before the compressor."""
        return len(self.heights_m) if self.lift == "bilinear" else 1

    @property
    def num_classes(self) -> int:
        """Channels of the segmentation."""
        return len(self.classes)

    @property
    def sensor_channels(self) -> int:
        """Channels of the sensor map that the network takes beside images."""
        heights = len(self.heights_m)
        channels = {"radar": 1, "radar_features": RADAR_FEATURES * heights, "lidar": heights}
        return channels.get(self.sensor, 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that from_dict restores; parts that are off are left out."""
        values = {**asdict(self), "grid": self.grid.to_dict()}
        if self.lift in _PLAIN_LIFTS:
            del values["lift_settings"]
        if self.lift == "bilinear":
            del values["lift"]
        if not self.virtual_cameras:
            del values["virtual_cameras"]
        if not self.memory.is_on:
            del values["memory"]
        if self.feature_stride == 8:
            del values["feature_stride"]
        if self.decoder_stride == 1:
            del values["decoder_stride"]
        return {key: _plain(value) for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SegnetConfig:
        """Inverse of to_dict.

        Raises:
            ConfigurationError: a key is unknown or missing, or a value makes no model.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigurationError(
                f"model configuration has unknown keys {shown(unknown)}; "
                f"known are {', '.join(sorted(known))}"
            )
        try:
            nested: dict[str, Any] = {"grid": BevGrid(**values["grid"])}
            if "lift_settings" in values:
                nested["lift_settings"] = LiftSettings(**values["lift_settings"])
            if "memory" in values:
                nested["memory"] = MemoryConfig.from_dict(values["memory"])
            cameras = values.get("virtual_cameras", ())
            nested["virtual_cameras"] = tuple(VirtualCamera(**camera) for camera in cameras)
            return cls(**{**values, **nested})
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = str(error)[:300]
            raise ConfigurationError(f"model configuration is incomplete: {reason}") from error


_PLAIN_LIFTS = ("bilinear", "ground", "ground_late")
"""They learn nothing that settings could shape."""

_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "encoder": ENCODERS,
    "sampling": SAMPLINGS,
    "sensor": SENSORS,
    "lift": LIFTS,
    "feature_stride": FEATURE_STRIDES,
    "decoder_stride": DECODER_STRIDES,
}


def _plain(value: Any) -> Any:
    """Tuples become lists, at every depth."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
