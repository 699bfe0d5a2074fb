# SPDX-License-Identifier: Apache-2.0
"""What the maker of samples says about their conventions, in a YAML file beside them.

Nothing has a silent default that geometry depends on: every convention is stated, and every
statement is checked against the data before anything is imported.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import OBJECT_CLASSES
from bev_perception.untrusted import parse_yaml, shown

DECLARATION_FILE = "layout.yaml"

CHOICES: dict[str, tuple[str, ...]] = {
    "extrinsics": ("ego_T_camera", "camera_T_ego"),
    "camera_axes": ("optical", "body", "carla"),
    "ego_axes": ("body", "carla"),
    "length_unit": ("m", "cm"),
    "first_pixel": ("centre", "corner"),
    "image_values": ("0..255", "0..1", "-0.5..0.5"),
    "image_channels": ("rgb", "bgr"),
    "pose": ("world_T_ego", "ego_T_world"),
    "world_axes": ("body", "carla"),
    "box_frame": ("ego", "camera0", "world"),
    "box_axes": ("body", "carla"),
    "box_sizes": ("full", "half"),
    "box_order": ("lwh", "wlh"),
    "box_origin": ("centre", "bottom"),
    "box_angles": ("radians", "degrees"),
    "object_ids": ("per_sample", "stable"),
}
"""What each convention may be; the first is how Simple-BEV's nuScenes loader has it."""

METRES = {"m": 1.0, "cm": 0.01}


@dataclass(frozen=True)
class Declaration:
    """The conventions of one set of samples.

    Attributes:
        cameras: names in the order of the arrays.
        extrinsics: whether rots and trans take points from camera to ego or back.
        camera_axes, ego_axes: axes of the cameras and of the ego frame, see geometry.axes.
        length_unit: of every translation, box and point.
        first_pixel: whether (0, 0) of the intrinsics is the centre or the outer corner of the
            first pixel. CARLA's (w / 2, h / 2) counts from the corner.
        image_values, image_channels: of images that are stored as arrays.
        pose: direction of egopose.
        world_axes: axes of the world that egopose refers to.
        box_frame: in which boxes are told.
        box_axes: axes of a box's own frame; where boxes have angles, those that the angles
            are told in.
        box_sizes: lengths of the sides, or CARLA's extents, which are half of them.
        box_order: of the three sizes: length, width, height, or nuScenes' width first.
        box_origin: what a box's position is: its centre, or the middle of its bottom.
        box_angles: unit of yaw, or of roll, pitch and yaw.
        object_ids: whether tidlist names an object alike in every sample. Simple-BEV's loader
            counts anew for every sequence.
        ego_origin: of the ego frame, in metres in base_link (the ground below the middle of
            the rear axle, x forward, y left, z up).
        default_class: of boxes without a label.
        rate_hz: samples per second where they have no stamps.
    """

    cameras: tuple[str, ...]
    extrinsics: str
    camera_axes: str
    ego_axes: str
    length_unit: str
    first_pixel: str
    image_values: str
    image_channels: str
    pose: str
    world_axes: str
    box_frame: str
    box_axes: str
    box_sizes: str
    box_order: str
    box_origin: str
    box_angles: str
    object_ids: str
    ego_origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    default_class: str = "car"
    rate_hz: float = 2.0

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigurationError(
                    f"{name} must be {' or '.join(choices)}, got {shown(getattr(self, name))}"
                )
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ConfigurationError(
                f"cameras must be different names, got {shown(list(self.cameras))}; write them in "
                f"the order of the arrays, for example [front, left, rear, right]"
            )
        if len(self.ego_origin) != 3 or not all(abs(value) < 100 for value in self.ego_origin):
            raise ConfigurationError(
                f"ego_origin must be [x, y, z] in metres in base_link, got {shown(self.ego_origin)}"
            )
        if self.default_class not in OBJECT_CLASSES:
            raise ConfigurationError(
                f"default_class must be one of {', '.join(OBJECT_CLASSES)}, got "
                f"{self.default_class!r}"
            )
        if not 0.01 <= self.rate_hz <= 1000:
            raise ConfigurationError(
                f"rate_hz must lie between 0.01 and 1000, got {self.rate_hz:g}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the file."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    def to_yaml(self) -> str:
        """As declaration_from_mapping reads it."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None)


def simple_bev_declaration(cameras: tuple[str, ...]) -> Declaration:
    """As Simple-BEV's own nuScenes loader gives samples out."""
    values: dict[str, Any] = {name: choices[0] for name, choices in CHOICES.items()}
    return Declaration(cameras, **{**values, "image_values": "0..1"})


def load_declaration(path: Path, changes: Mapping[str, Any] | None = None) -> Declaration:
    """Reads a declaration.

    Args:
        path: the YAML file.
        changes: values that replace those of the file.

    Raises:
        ConfigurationError: the file is missing, or a key is unknown, missing or impossible.
    """
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path} is missing; it states the conventions of the samples, which nobody can know "
            f"from the numbers alone. 'bev carla check {path.parent} --out DIR' proposes one that "
            f"fits the data; look at its pictures, then put it there"
        ) from error
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{path} cannot be read: {reason}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} must map names to values, got {shown(values)}")
    return declaration_from_mapping({**values, **(changes or {})}, str(path))


def declaration_from_mapping(values: Mapping[str, Any], where: str) -> Declaration:
    """A declaration from plain values; nothing unknown and nothing left out.

    Raises:
        ConfigurationError: with ``where`` and the key.
    """
    known = {field.name: field for field in fields(Declaration)}
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"
            raise ConfigurationError(f"{where}: unknown key {shown(key)}{hint}")
    missing = [name for name in ("cameras", *CHOICES) if name not in values]
    if missing:
        options = ", ".join(
            f"{name} ({' or '.join(CHOICES.get(name, ('names in the order of the arrays',)))})"
            for name in missing
        )
        raise ConfigurationError(f"{where} does not say: {options}")
    given = dict(values)
    try:
        given["cameras"] = tuple(map(str, _listed(given["cameras"])))
        given["ego_origin"] = tuple(map(float, _listed(given.get("ego_origin", (0, 0, 0)))))
        given["rate_hz"] = float(given.get("rate_hz", 2.0))
        return Declaration(**given)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{where}: {error}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list, got {shown(value)}")
    return list(value)
