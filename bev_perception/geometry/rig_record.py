# SPDX-License-Identifier: Apache-2.0
"""Rigs as plain values for JSON, and the hash that tells two rigs apart."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from bev_perception.geometry.camera import PinholeCamera
from bev_perception.geometry.rig import Rig, RigCamera
from bev_perception.geometry.transform import RigidTransform
from bev_perception.geometry.window import Window

_DIGITS = 9
"""Decimals that count in a hash: what differs by less is rounding."""


def rig_to_dict(rig: Rig) -> dict[str, Any]:
    """Plain values by camera, in the rig's order."""
    return {name: camera_to_dict(entry) for name, entry in rig.cameras.items()}


def rig_from_dict(values: dict[str, Any]) -> Rig:
    """The rig of rig_to_dict's values.

    Raises:
        KeyError, TypeError, ValueError, BevError: they are not such values.
    """
    return Rig({name: camera_from_dict(entry) for name, entry in values.items()})


def camera_to_dict(entry: RigCamera) -> dict[str, Any]:
    """Plain values of one camera; matrices row by row, lengths in metres."""
    return _intrinsics_to_dict(entry.camera) | {
        "base_T_camera": entry.base_T_camera.matrix.tolist(),
        "frame_id": entry.frame_id,
    }


def camera_from_dict(values: dict[str, Any]) -> RigCamera:
    """The camera of camera_to_dict's values."""
    mounting = RigidTransform.from_matrix(values["base_T_camera"])
    return RigCamera(_intrinsics_from_dict(values), mounting, values["frame_id"])


def _intrinsics_to_dict(camera: PinholeCamera) -> dict[str, Any]:
    values = {
        "width": camera.width,
        "height": camera.height,
        "matrix": camera.matrix.tolist(),
        "distortion_model": camera.distortion_model,
        "distortion": list(camera.distortion),
    }
    if camera.window is not None:
        values["window"] = {
            "camera": _intrinsics_to_dict(camera.window.camera),
            "real_R_turned": camera.window.real_R_turned.tolist(),
        }
    return values


def _intrinsics_from_dict(values: dict[str, Any]) -> PinholeCamera:
    window = None
    if values.get("window") is not None:
        behind = values["window"]
        window = Window(_intrinsics_from_dict(behind["camera"]), np.array(behind["real_R_turned"]))
    return PinholeCamera(
        values["width"],
        values["height"],
        np.array(values["matrix"]),
        values["distortion_model"],
        tuple(values["distortion"]),
        window,
    )


def rig_hash(rig: Rig) -> str:
    """Sixteen hexadecimal digits, the same for rigs that differ by rounding only."""
    text = json.dumps(_rounded(rig_to_dict(rig)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return round(value, _DIGITS) + 0.0 if isinstance(value, float) else value
