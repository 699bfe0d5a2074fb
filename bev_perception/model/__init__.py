# SPDX-License-Identifier: Apache-2.0
"""Segnet: configuration, encoders, lift, decoder, heads and weights."""

from bev_perception.model.calibration import calibrated, load_calibrated, stored_calibration
from bev_perception.model.config import ENCODERS, SegnetConfig
from bev_perception.model.image_resize import ImageResize
from bev_perception.model.lift import lift
from bev_perception.model.lift_config import LIFTS, LiftSettings
from bev_perception.model.lift_geometry import LiftGeometry, build_lift_geometry
from bev_perception.model.presets import PRESETS, preset, tiny_config
from bev_perception.model.segnet import Segnet, SegnetOutput
from bev_perception.model.tap_builder import build_tap_table
from bev_perception.model.taps import GatherTable, TapTable
from bev_perception.model.visible_voxels import visible_voxels
from bev_perception.model.weights import (
    load_weights,
    resolve_weights,
    save_weights,
    shipped_weights,
)

__all__ = [
    "ENCODERS",
    "LIFTS",
    "PRESETS",
    "GatherTable",
    "ImageResize",
    "LiftGeometry",
    "LiftSettings",
    "Segnet",
    "SegnetConfig",
    "SegnetOutput",
    "TapTable",
    "build_lift_geometry",
    "build_tap_table",
    "calibrated",
    "lift",
    "load_calibrated",
    "load_weights",
    "preset",
    "resolve_weights",
    "save_weights",
    "shipped_weights",
    "stored_calibration",
    "tiny_config",
    "visible_voxels",
]
