# SPDX-License-Identifier: Apache-2.0
"""Rig files: YAML that names the cameras of a vehicle, their topics and their calibration.

Read strictly: what is misspelt, of the wrong type or half given is refused with the file,
the camera and the key, so that no typo turns into a silent default.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from bev_perception.errors import CalibrationError, ConfigurationError
from bev_perception.geometry.camera import PinholeCamera
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.rig import Rig, RigCamera
from bev_perception.geometry.strict_yaml import StrictLoader
from bev_perception.geometry.transform import RigidTransform
from bev_perception.untrusted import parse_yaml, shown

FILE_KEYS = ("base_frame", "labels_topic", "points_topic", "cameras")
FOCAL_KEYS = ("fx", "fy", "cx", "cy")
DISTORTION_KEYS = ("distortion_model", "distortion")
INTRINSIC_KEYS = ("width", "height", "horizontal_fov_deg", *FOCAL_KEYS, *DISTORTION_KEYS)
EXTRINSIC_KEYS = ("position", "rpy_deg")
MAX_MOUNTING_M = 100.0
"""Farther from the vehicle frame is a mistake, most often millimetres."""
NAME_KEYS = ("image_topic", "camera_info_topic", "frame_id")
CAMERA_KEYS = (*NAME_KEYS, *INTRINSIC_KEYS, *EXTRINSIC_KEYS)

_CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class RigFileCamera:
    """What a rig file says of one camera; None where it leaves that to the bag.

    Attributes:
        image_topic: topic of its images.
        camera_info_topic: topic of its CameraInfo.
        frame_id: its optical frame in TF.
        camera: intrinsics.
        base_T_camera: takes points of the optical frame to the rig file's base frame.
    """

    image_topic: str | None = None
    camera_info_topic: str | None = None
    frame_id: str | None = None
    camera: PinholeCamera | None = None
    base_T_camera: RigidTransform | None = None


@dataclass(frozen=True)
class RigFile:
    """A rig file as read.

    Attributes:
        base_frame: TF name of the vehicle frame (x forward, y left, z up, on the ground).
        cameras: by name, in the file's order, which is the order of the rig.
        labels_topic: topic of the labelled objects, None to find it in the bag.
        points_topic: topic of the point clouds that a network takes, None to find it in the bag.
        path: where it was read from, for messages.
    """

    base_frame: str
    cameras: Mapping[str, RigFileCamera]
    labels_topic: str | None = None
    points_topic: str | None = None
    path: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cameras", MappingProxyType(dict(self.cameras)))

    def __reduce__(self) -> tuple[type[RigFile], tuple[Any, ...]]:
        topics = self.labels_topic, self.points_topic
        return RigFile, (self.base_frame, dict(self.cameras), *topics, self.path)

    def rig(self) -> Rig:
        """The rig that the file calibrates; frames default to ``<name>_optical_frame``.

        Raises:
            ConfigurationError: a camera has no intrinsics or no mounting in the file.
        """
        cameras = {}
        for name, entry in self.cameras.items():
            where = f"{self.path or 'rig file'}: camera {name!r}"
            if entry.camera is None:
                raise ConfigurationError(
                    f"{where} has no intrinsics; give width, height and either "
                    f"horizontal_fov_deg or fx, fy, cx, cy"
                )
            if entry.base_T_camera is None:
                raise ConfigurationError(f"{where} has no mounting; give position and rpy_deg")
            frame_id = entry.frame_id or f"{name}_optical_frame"
            cameras[name] = RigCamera(entry.camera, entry.base_T_camera, frame_id)
        return Rig(cameras)


def load_rig_file(path: str | Path) -> RigFile:
    """Reads a rig file.

    Raises:
        ConfigurationError: the file is missing, is not YAML, or holds an unknown key, a
            value of the wrong type or a calibration that makes no camera.
    """
    path = Path(path)
    top = _Section(_read_yaml(path), FILE_KEYS, f"{path}")
    cameras = top.values.get("cameras")
    if not isinstance(cameras, dict) or not cameras:
        raise ConfigurationError(
            f"{path}: cameras must map camera names to their settings, got {shown(cameras)}"
        )
    entries = {}
    for name, values in cameras.items():
        if not isinstance(name, str) or not _CAMERA_NAME.fullmatch(name):
            raise ConfigurationError(
                f"{path}: camera name {shown(name)} must start with a letter and hold only "
                f"letters, digits and underscores (quote names such as 'on' that YAML reads as a "
                f"value)"
            )
        entries[name] = _camera(_Section(values, CAMERA_KEYS, f"{path}: camera {name!r}"))
    base_frame = (top.text("base_frame") or "").lstrip("/") or "base_link"
    topics = top.text("labels_topic"), top.text("points_topic")
    return RigFile(base_frame, entries, *topics, path)


def load_rig(path: str | Path) -> Rig:
    """Reads a rig file that calibrates all its cameras.

    Raises:
        ConfigurationError: see load_rig_file and RigFile.rig.
    """
    return load_rig_file(path).rig()


class _Section:
    """One mapping of the file with typed access; every refusal says where."""

    def __init__(self, values: Any, keys: tuple[str, ...], where: str) -> None:
        if not isinstance(values, dict):
            raise ConfigurationError(
                f"{where}: expected a mapping with keys among {', '.join(keys)}, "
                f"got {shown(values)}"
            )
        for key in values:
            if key not in keys:
                close = difflib.get_close_matches(str(key).lower(), keys, n=1, cutoff=0.5)
                hint = f"did you mean {close[0]!r}? " if close else ""
                raise ConfigurationError(
                    f"{where}: unknown key {shown(key)}; {hint}Known keys: {', '.join(keys)}"
                )
        self.values = values
        self.where = where

    def has(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that are given."""
        return [key for key in keys if key in self.values]

    def refuse(self, key: str, expected: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.where}: {key} must be {expected}, got {shown(self.values.get(key))}"
        )

    def require(self, keys: Iterable[str], given: Iterable[str]) -> None:
        """All keys must be given because some other ones are."""
        missing = [key for key in keys if key not in self.values]
        if missing:
            raise ConfigurationError(
                f"{self.where}: {', '.join(missing)} missing, needed beside {', '.join(given)}"
            )

    def text(self, key: str) -> str | None:
        if key not in self.values:
            return None
        value = self.values[key]
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(key, "a name in text")
        return value.strip()

    def number(self, key: str) -> float:
        if not _is_number(self.values[key]):
            raise self.refuse(key, "a finite number")
        return float(self.values[key])

    def pixels(self, key: str) -> int:
        value = self.values[key]
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise self.refuse(key, "a positive whole number of pixels")
        return value

    def numbers(self, key: str, count: int | None = None, meaning: str = "") -> tuple[float, ...]:
        values = self.values[key]
        valid = isinstance(values, list) and all(_is_number(value) for value in values)
        if not valid or (count is not None and len(values) != count):
            amount = "" if count is None else f"{count} "
            raise self.refuse(key, f"a list of {amount}finite numbers{meaning}")
        return tuple(float(value) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _camera(section: _Section) -> RigFileCamera:
    return RigFileCamera(
        section.text("image_topic"),
        section.text("camera_info_topic"),
        section.text("frame_id"),
        _intrinsics(section),
        _mounting(section),
    )


def _intrinsics(section: _Section) -> PinholeCamera | None:
    given = section.has(INTRINSIC_KEYS)
    if not given:
        return None
    section.require(("width", "height"), given)
    focal = section.has(FOCAL_KEYS)
    if focal and "horizontal_fov_deg" in section.values:
        raise ConfigurationError(
            f"{section.where}: horizontal_fov_deg and {', '.join(focal)} say the same thing "
            f"twice; keep one of the two"
        )
    if not focal and "horizontal_fov_deg" not in section.values:
        raise ConfigurationError(
            f"{section.where}: neither horizontal_fov_deg nor fx, fy, cx, cy is given"
        )
    width, height = section.pixels("width"), section.pixels("height")
    model, coefficients = _distortion(section)
    try:
        if focal:
            section.require(FOCAL_KEYS, focal)
            fx, fy, cx, cy = (section.number(key) for key in FOCAL_KEYS)
        else:
            ideal = PinholeCamera.from_field_of_view(
                width, height, section.number("horizontal_fov_deg")
            )
            fx, fy, cx, cy = ideal.fx, ideal.fy, ideal.cx, ideal.cy
        return PinholeCamera.from_intrinsics(width, height, fx, fy, cx, cy, model, coefficients)
    except CalibrationError as error:
        raise ConfigurationError(f"{section.where}: {error}") from error


def _distortion(section: _Section) -> tuple[str, tuple[float, ...]]:
    given = section.has(DISTORTION_KEYS)
    model = section.text("distortion_model") or "none"
    if not given or (model == "none" and "distortion" not in section.values):
        return "none", ()
    section.require(DISTORTION_KEYS, given)
    return model, section.numbers("distortion")


def _mounting(section: _Section) -> RigidTransform | None:
    given = section.has(EXTRINSIC_KEYS)
    if not given:
        return None
    section.require(EXTRINSIC_KEYS, given)
    position = section.numbers("position", 3, " [x, y, z] in metres")
    if max(abs(value) for value in position) > MAX_MOUNTING_M:
        raise ConfigurationError(
            f"{section.where}: position {position} lies more than {MAX_MOUNTING_M:g} m from the "
            f"vehicle frame; it is in metres, not millimetres"
        )
    angles = section.numbers("rpy_deg", 3, " [roll, pitch, yaw] in degrees")
    roll, pitch, yaw = (math.radians(angle) for angle in angles)
    return RigidTransform.from_euler(roll, pitch, yaw, position) @ BODY_T_OPTICAL


def _read_yaml(path: Path) -> Any:
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), StrictLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"rig file {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"rig file {path} is not valid YAML: {error}") from error
